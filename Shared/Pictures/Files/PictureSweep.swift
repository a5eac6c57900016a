public import Logging
import Metrics
public import Model
public import ServiceLifecycle

/// Once a day, and a while after the start: removes the files that no row names. A picture's file is there before its
/// row, so what is cut off between the two leaves one; no crash leaves a row without its file.
public struct PictureSweep: Service {
    /// For how long a file may be without a row. An upload takes seconds.
    public static let patience = Duration.seconds(86_400)

    private let store: any BlobStore
    private let named: @Sendable ([String]) async throws -> Set<String>
    private let now: @Sendable () -> Timestamp
    private let logger: Logger
    private let first: Duration
    private let pause: Duration

    /// - Parameters:
    ///   - named: which of these digests have a row.
    ///   - first: from the start to the first sweep.
    ///   - pause: between two shelves that held something, so that a sweep is never noticed.
    public init(
        of store: any BlobStore, now: @escaping @Sendable () -> Timestamp, logger: Logger,
        first: Duration = .seconds(900), pause: Duration = .milliseconds(20),
        named: @escaping @Sendable ([String]) async throws -> Set<String>
    ) {
        self.store = store
        self.named = named
        self.now = now
        self.logger = logger
        self.first = first
        self.pause = pause
    }

    public func run() async throws {
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: first) }
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                _ = try await once()
            } catch {
                logger.warning(
                    "the sweep of pictures without a row stopped early; it is tried again tomorrow",
                    metadata: ["error": "\(error)"])
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(86_400)) }
        }
    }

    /// - Returns: how many files went.
    public func once() async throws -> Int {
        let before = now() - Self.patience
        var removed = 0
        for shelf in try await store.shelves() {
            if Task.isShuttingDownGracefully || Task.isCancelled { break }
            removed += try await store.sweep(shelf, before: before, named: named)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: pause) }
        }
        if removed > 0 {
            Counter(label: "sluice_photo_files_swept_total").increment(by: Int64(removed))
            logger.info("picture files without a row were removed", metadata: ["files": "\(removed)"])
        }
        return removed
    }
}
