import DequeModule
import NIOCore

/// What a channel's owner is told.
enum ChannelEvent {
    case delivery(ChannelMachine.Delivery)
    case returned(ChannelMachine.Return)
    case confirm(tag: UInt64, multiple: Bool, positive: Bool)
    case consumerCancelled(consumer: String)
    /// The channel is over, by whomever; its number means nothing any more.
    case ended(AMQPError)
}

/// A channel of a connection, with those who wait for its answers.
final class LinkedChannel {
    struct Waiting {
        private var queue: Deque<(deadline: NIODeadline, completion: AMQPConnection.Completion<InboundMethod>)> = []

        mutating func append(
            deadline: NIODeadline, _ completion: @escaping AMQPConnection.Completion<InboundMethod>
        ) {
            queue.append((deadline, completion))
        }

        mutating func pop() -> AMQPConnection.Completion<InboundMethod>? { queue.popFirst()?.completion }

        /// Takes whom to tell, and keeps their places: the answers still come, in this order.
        mutating func takeCompletions() -> [AMQPConnection.Completion<InboundMethod>] {
            let completions = queue.map { $0.completion }
            for index in queue.indices { queue[index].completion = { _ in } }
            return completions
        }

        mutating func postpone(to deadline: NIODeadline) {
            for index in queue.indices { queue[index].deadline = deadline }
        }

        var oldest: NIODeadline? { queue.first?.deadline }
    }

    let number: UInt16
    var machine = ChannelMachine()
    var waiting = Waiting()
    var closing: [() -> Void] = []
    var closeDeadline: NIODeadline?
    private(set) var events: (ChannelEvent) -> Void

    init(number: UInt16, events: @escaping (ChannelEvent) -> Void) {
        self.number = number
        self.events = events
    }

    func isOverdue(at now: NIODeadline) -> Bool {
        if let closeDeadline, closeDeadline <= now { return true }
        if let oldest = waiting.oldest, oldest <= now { return true }
        return false
    }

    func answered(_ method: InboundMethod) { waiting.pop()?(.success(method)) }

    func failWaiting(_ error: AMQPError) {
        while let completion = waiting.pop() { completion(.failure(error)) }
    }

    /// The answers are far off: whoever waits is told so, and they will be nobody's.
    func releaseWaiting(_ error: AMQPError) {
        for completion in waiting.takeCompletions() { completion(.failure(error)) }
    }

    func postpone(to deadline: NIODeadline) {
        waiting.postpone(to: deadline)
        if closeDeadline != nil { closeDeadline = deadline }
    }

    func ended(_ error: AMQPError) {
        failWaiting(error)
        let events = self.events
        self.events = { _ in }
        events(.ended(error))
        let closing = self.closing
        self.closing = []
        for completion in closing { completion() }
    }
}
