import Dispatch
import Glibc
import Synchronization

/// Looks up the names of one lane's receivers. The system's look-up blocks, for half a minute where a name's server does
/// not answer, so each has a thread of its own as long as it runs. Who asks for a name that is being looked up waits for
/// the same answer, as long as they have time: a name that hangs holds one thread, and nobody who asks for another.
final class NameLookUps: Sendable {
    enum Answer: Sendable, Hashable {
        case found(first: [UInt8], all: [[UInt8]])
        case unknown
        /// No answer in time.
        case late
    }

    /// Addresses in the network's order of bytes; none for a name that is not known.
    typealias LookUp = @Sendable (_ host: String) -> [[UInt8]]
    private typealias Waiter = CheckedContinuation<Answer, Never>

    /// Names at a time. Where so many hang it is not about a name, and further threads would not help.
    static let width = 64

    private struct State {
        /// Who waits, by name and number.
        var underWay: [String: [Int: Waiter]] = [:]
        /// Until when names that were not known are not looked up again.
        var unknown: [String: ContinuousClock.Instant] = [:]
        var waiters = 0
    }

    private let lookUp: LookUp
    private let memory: Duration
    private let state = Mutex(State())

    /// - Parameter memory: how long a name that is not known is taken to be so, for the many messages of one receiver.
    init(memory: Duration = .seconds(2), lookUp: @escaping LookUp = NameLookUps.system) {
        self.lookUp = lookUp
        self.memory = memory
    }

    func addresses(of host: String, within time: Duration) async -> Answer {
        await withTaskGroup(of: Answer.self) { group in
            group.addTask { await self.wait(for: host) }
            group.addTask {
                try? await Task.sleep(for: time)
                return .late
            }
            defer { group.cancelAll() }
            return await group.next() ?? .late
        }
    }

    /// Until the name is looked up, or the task cancelled.
    private func wait(for host: String) async -> Answer {
        let number = state.withLock { state in
            state.waiters += 1
            return state.waiters
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { begin(host, number, $0) }
        } onCancel: {
            state.withLock { $0.underWay[host]?.removeValue(forKey: number) }?.resume(returning: .late)
        }
    }

    private func begin(_ host: String, _ number: Int, _ waiter: Waiter) {
        let (answer, isFirst) = state.withLock { state -> (Answer?, Bool) in
            // Cancelled before it could be found among those who wait.
            if Task.isCancelled { return (.late, false) }
            if let until = state.unknown[host], until > ContinuousClock.now { return (.unknown, false) }
            let isFirst = state.underWay[host] == nil
            if isFirst, state.underWay.count >= Self.width { return (.late, false) }
            state.underWay[host, default: [:]][number] = waiter
            return (nil, isFirst)
        }
        if let answer { waiter.resume(returning: answer) }
        guard isFirst else { return }
        // A serial queue is given a thread whenever it has work, however many others are blocked.
        DispatchQueue(label: "sluice.look-up").async { self.end(host, self.lookUp(host)) }
    }

    private func end(_ host: String, _ found: [[UInt8]]) {
        let now = ContinuousClock.now
        let waiters = state.withLock { state -> [Int: Waiter] in
            state.unknown = state.unknown.filter { $0.value > now }
            if found.isEmpty { state.unknown[host] = now + memory }
            return state.underWay.removeValue(forKey: host) ?? [:]
        }
        let answer = found.first.map { Answer.found(first: $0, all: found) } ?? .unknown
        for waiter in waiters.values { waiter.resume(returning: answer) }
    }

    /// What the system's resolver knows. Blocks.
    @Sendable static func system(_ host: String) -> [[UInt8]] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [[UInt8]] = []
        var entry = list
        while let current = entry {
            if let address = current.pointee.ai_addr {
                switch current.pointee.ai_family {
                case AF_INET:
                    address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                        found.append(withUnsafeBytes(of: pointer.pointee.sin_addr) { Array($0) })
                    }
                case AF_INET6:
                    address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                        found.append(withUnsafeBytes(of: pointer.pointee.sin6_addr) { Array($0) })
                    }
                default: break
                }
            }
            entry = current.pointee.ai_next
        }
        return found
    }
}
