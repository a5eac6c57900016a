import FoundationEssentials
import Logging
import Model
import NIOCore
import Outbox
import Postgres
import ServiceKit
import ServiceLifecycle
import Synchronization

/// One numbered event of the live stream.
struct LiveMessage: Sendable {
    var seq: Int64
    var district: District.ID
    var responsible: District.ID
    /// As it goes over the wire.
    var frame: ByteBuffer

    init(_ row: Row) throws {
        seq = try row.decode("seq")
        district = try row.decode("district_id")
        responsible = try row.decode("responsible_district_id")
        let kind: String = try row.decode("kind")
        let at: Timestamp = try row.decode("at")
        let body: String? = try row.decode("body")
        let version: Int? = try row.decode("version")
        frame = ByteBuffer(
            string: """
                id: \(seq)
                event: \(kind)
                data: {"at":"\(at)","district_id":"\(district)","version":\(version.map(String.init) ?? "null"),\
                "data":\(body ?? "null")}


                """)
    }

    func isVisible(in scope: DistrictScope) -> Bool {
        guard let ids = scope.districtIDs else { return true }
        return district == District.city || ids.contains(district.rawValue) || ids.contains(responsible.rawValue)
    }
}

/// Reads what has been numbered, once an instance, and hands it to every client that may see it. A client that does not
/// keep up is let go: it comes back with the number of the last event that it has seen.
final class LiveHub: Service, Sendable {
    static let heartbeat = ByteBuffer(string: ": \n\n")
    private static let bufferedMessages = 512

    private struct Client {
        var scope: DistrictScope
        var until: Timestamp
        /// Whether the token that let it in has been taken back.
        var isRevoked: @Sendable () -> Bool
        var continuation: AsyncStream<Output>.Continuation
    }

    enum Output: Sendable {
        case message(LiveMessage)
        case heartbeat
    }

    private struct State {
        var clients: [UInt64: Client] = [:]
        var nextID: UInt64 = 0
        /// The last number that was handed out here; nil before the first read.
        var last: Int64?
        var isClosed = false
    }

    private let state = Mutex(State())
    private let database: PostgresClient
    private let now: @Sendable () -> Timestamp
    private let logger: Logger

    init(database: PostgresClient, now: @escaping @Sendable () -> Timestamp, logger: Logger) {
        self.database = database
        self.now = now
        self.logger = logger
    }

    /// A client's stream from now on, and the last number before it; nil if the hub cannot say yet, or is closing.
    func subscribe(
        scope: DistrictScope, until: Timestamp, isRevoked: @escaping @Sendable () -> Bool = { false }
    ) -> (stream: AsyncStream<Output>, last: Int64)? {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Output.self, bufferingPolicy: .bufferingOldest(Self.bufferedMessages))
        let subscribed = state.withLock { state -> (id: UInt64, last: Int64)? in
            guard !state.isClosed, let last = state.last else { return nil }
            state.nextID += 1
            state.clients[state.nextID] = Client(
                scope: scope, until: until, isRevoked: isRevoked, continuation: continuation)
            return (state.nextID, last)
        }
        guard let subscribed else { return nil }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.clients[subscribed.id] = nil }
        }
        return (stream, subscribed.last)
    }

    var clientCount: Int { state.withLock { $0.clients.count } }

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.follow() }
            group.addTask {
                await repeatUntilShutdown(every: .seconds(15)) { self.beat() }
            }
            group.addTask {
                // As often as revocations are read.
                await repeatUntilShutdown(every: .seconds(2)) { self.endOver() }
            }
            group.addTask {
                // A lost hint costs no more than this.
                await repeatUntilShutdown(every: .milliseconds(500)) { await self.read() }
            }
            await cancelWhenGracefulShutdown { try? await Task.sleep(for: .seconds(1_000_000_000)) }
            close()
            group.cancelAll()
        }
    }

    private func follow() async {
        await cancelWhenGracefulShutdown {
            for await event in self.database.listen([LiveStore.channel]) {
                if case .degraded = event { continue }
                await self.read()
            }
        }
    }

    // MARK: - Handing out

    private func read() async {
        do {
            while try await readPage() {}
        } catch {
            logger.debug("the live stream could not be read", metadata: ["error": "\(error)"])
        }
    }

    /// - Returns: whether there may be more.
    private func readPage() async throws -> Bool {
        guard let last = state.withLock({ $0.clients.isEmpty ? nil : $0.last }) else {
            try await skip()
            return false
        }
        let messages = try await database.query(LiveStore.after(last, limit: 500)).map { try LiveMessage($0) }
        // Two readers may hold the same page; only what is new is handed out.
        let slow = state.withLock { state in
            var slow: [Client] = []
            for message in messages where message.seq > state.last ?? 0 {
                state.last = message.seq
                for (id, client) in state.clients where message.isVisible(in: client.scope) {
                    if case .dropped = client.continuation.yield(.message(message)) {
                        state.clients[id] = nil
                        slow.append(client)
                    }
                }
            }
            return slow
        }
        // Not under the lock: the end of a stream takes it too.
        for client in slow { client.continuation.finish() }
        return messages.count == 500
    }

    /// While nobody listens nothing is read but where the stream is.
    private func skip() async throws {
        let newest = try await database.query(LiveStore.last).first?.decode(0, as: Int64?.self) ?? 0
        // Who came in the meantime was told the number before, and gets what follows it.
        state.withLock { state in
            if state.clients.isEmpty || state.last == nil { state.last = max(newest, state.last ?? 0) }
        }
    }

    private func beat() {
        let clients = state.withLock { Array($0.clients.values) }
        for client in clients { client.continuation.yield(.heartbeat) }
    }

    /// Ends the streams whose token has run out or was taken back: whoever may comes back with a new one.
    func endOver() {
        let now = now()
        let clients = state.withLock(\.clients)
        let over = clients.filter { now > $0.value.until || $0.value.isRevoked() }
        state.withLock { state in for id in over.keys { state.clients[id] = nil } }
        for client in over.values { client.continuation.finish() }
    }

    private func close() {
        let clients = state.withLock { state in
            state.isClosed = true
            defer { state.clients = [:] }
            return Array(state.clients.values)
        }
        for client in clients { client.continuation.finish() }
    }
}
