import FoundationEssentials
public import Logging
import Model
public import Postgres
import Rules
public import ServiceLifecycle
import Synchronization

/// The catalogue and the map in memory, so that a report is judged without asking anybody. Looked at again every few
/// seconds and read whole when something changed; what is known stays if that fails.
public final class CityCache: Service, Sendable {
    /// One consistent view. A report is judged by one of these from beginning to end.
    struct City: Sendable {
        var categories: [String: Category]
        var places: PlaceIndex

        /// For what is bounded otherwise and may lie anywhere in the city.
        var districts: [UUID] {
            places.places.filter { $0.level == .district }.map(\.districtID.rawValue)
        }
    }

    struct Category: Sendable {
        var stored: CityStore.Category
        var rule: EmergencyRule.Category

        init(_ stored: CityStore.Category) {
            self.stored = stored
            self.rule = EmergencyRule.Category(
                code: stored.code, version: stored.version, severity: stored.severity,
                alwaysEmergency: stored.alwaysEmergency, words: EmergencyWords(stored.words),
                places: Set(stored.places))
        }
    }

    private let store: CityStore
    private let interval: Duration
    private let logger: Logger
    private let state = Mutex<(city: City?, mark: CityStore.Mark?)>((nil, nil))

    public init(database: PostgresClient, interval: Duration = .seconds(3), logger: Logger) {
        self.store = CityStore(database: database)
        self.interval = interval
        self.logger = logger
    }

    /// Nil until both have been read and neither is empty: a report can't be judged without them.
    var city: City? {
        state.withLock { state in
            guard let city = state.city, !city.categories.isEmpty, !city.places.isEmpty else { return nil }
            return city
        }
    }

    public var isReady: Bool { city != nil }

    public func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                try await refresh()
            } catch {
                logger.warning("catalogue and map could not be read", metadata: ["error": "\(error)"])
            }
            let wait = isReady ? interval : .milliseconds(250)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: wait) }
        }
    }

    /// Reads what has changed since it was last read.
    public func refresh() async throws {
        let mark = try await store.mark()
        let known = state.withLock { ($0.city, $0.mark) }
        if known.1 == mark { return }
        let categories: [String: Category]
        if let city = known.0, known.1?.categories == mark.categories {
            categories = city.categories
        } else {
            categories = Dictionary(
                try await store.categories().map { ($0.code, Category($0)) }, uniquingKeysWith: { first, _ in first })
        }
        let places: PlaceIndex
        if let city = known.0, known.1?.places == mark.places {
            places = city.places
        } else {
            let read = try await store.places()
            if !read.unreadable.isEmpty {
                logger.error(
                    "areas whose boundary cannot be read are left out",
                    metadata: ["count": "\(read.unreadable.count)", "first": "\(read.unreadable[0])"])
            }
            places = PlaceIndex(read.places)
        }
        state.withLock { $0 = (City(categories: categories, places: places), mark) }
    }
}
