import NIOCore

/// The channels of a connection that ask questions. A question that fails closes its channel, so each kind
/// has one of its own, opened when it is first needed, away from the messages in flight.
struct SideChannels {
    private final class Slot {
        var number: UInt16?
    }

    private let declaring = Slot()
    private let counting = Slot()

    func declare(
        _ topology: Topology, on connection: AMQPConnection, isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) {
        try await connection.declare(topology, on: number(of: declaring, on: connection))
    }

    func look(
        at queue: String, on connection: AMQPConnection, isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) -> QueueWatch.Look {
        let channel = try await number(of: counting, on: connection)
        let asked = NIODeadline.now()
        let answer = try await connection.ask(.queueDeclare(name: queue, passive: true, kind: nil), on: channel)
        let time = Duration(NIODeadline.now() - asked)
        guard case .queueDeclareOK(let ready, let consumers) = answer else {
            throw .violation("an answer to another question")
        }
        return QueueWatch.Look(ready: ready, consumers: consumers, answeredIn: time)
    }

    private func number(
        of slot: Slot, on connection: AMQPConnection, isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) -> UInt16 {
        if let number = slot.number { return number }
        let number = try await connection.openChannel { [weak slot] event in
            if case .ended = event { slot?.number = nil }
        }
        // Two first questions at once both open a channel; the later one stays unused but for its own question.
        if slot.number == nil { slot.number = number }
        // The alarm may have come in the same breath as the channel.
        guard !connection.isBlocked else { throw .blocked }
        return number
    }
}
