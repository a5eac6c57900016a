/// One channel: what it waits for, and the message that is arriving on it. No I/O; total, so that no peer can trap it.
struct ChannelMachine {
    enum State: Sendable, Hashable, CaseIterable {
        case opening, open
        /// This side closes the channel: all that comes before the answer is dropped.
        case closing
        case closed
    }

    enum Action: Sendable, Hashable {
        case none
        /// The answer to the oldest question.
        case reply(InboundMethod)
        case delivery(Delivery)
        case returned(Return)
        case confirm(tag: UInt64, multiple: Bool, positive: Bool)
        case consumerCancelled(consumer: String)
        case sendFlowOK(active: Bool)
        /// The peer closed it: answer, and fail whoever waits.
        case closedByPeer(InboundMethod.Farewell)
        /// Both ends said farewell at once: answer and go on waiting for the peer's answer.
        case sendCloseOK
        case closed
        case violation(String)
    }

    struct Delivery: Sendable, Hashable {
        var consumer: String
        var tag: UInt64
        var redelivered: Bool
        var exchange: String
        var routingKey: String
        var properties: MessageProperties
        var body: [UInt8]
    }

    struct Return: Sendable, Hashable {
        var code: UInt16
        var text: String
        var exchange: String
        var routingKey: String
        var properties: MessageProperties
    }

    private(set) var state: State = .opening
    /// Answers that are due, oldest first.
    private(set) var expected: [MethodID] = [.channelOpenOK]
    private var content = ContentAssembly()

    mutating func asked(_ reply: MethodID) { expected.append(reply) }

    /// `false` if there is nothing to close any more.
    mutating func requestClose() -> Bool {
        guard state == .opening || state == .open else { return false }
        state = .closing
        expected = []
        content = ContentAssembly()
        return true
    }

    mutating func received(_ frame: InboundFrame) -> Action {
        switch state {
        case .closed: return .none
        case .closing:
            switch frame {
            case .method(.channelCloseOK):
                state = .closed
                return .closed
            case .method(.channelClose): return .sendCloseOK
            default: return .none
            }
        case .opening, .open: break
        }
        switch frame {
        case .heartbeat: return .violation("heartbeat on a channel")
        case .method(let method):
            guard content.isIdle || method.isChannelClose else { return .violation("\(method.id) within a message") }
            return received(method)
        case .header(let size, let properties):
            return finished(content.header(bodySize: size, properties: properties))
        case .body(let bytes): return finished(content.body(bytes))
        }
    }

    private mutating func received(_ method: InboundMethod) -> Action {
        switch method {
        case .channelClose(let farewell):
            state = .closed
            expected = []
            content = ContentAssembly()
            return .closedByPeer(farewell)
        case .basicDeliver, .basicReturn:
            guard state == .open else { return .violation("\(method.id) on a channel that is not open") }
            content.begin(method)
            return .none
        case .basicAck(let tag, let multiple): return .confirm(tag: tag, multiple: multiple, positive: true)
        case .basicNack(let tag, let multiple): return .confirm(tag: tag, multiple: multiple, positive: false)
        case .basicCancel(let consumer): return .consumerCancelled(consumer: consumer)
        case .channelFlow(let active): return .sendFlowOK(active: active)
        default:
            guard let due = expected.first, due == method.id else {
                return .violation("\(method.id), which nobody asked for")
            }
            expected.removeFirst()
            if due == .channelOpenOK { state = .open }
            return .reply(method)
        }
    }

    private func finished(_ progress: ContentAssembly.Progress) -> Action {
        switch progress {
        case .partial: .none
        case .violation(let reason): .violation(reason)
        case .whole(.basicReturn(let code, let text, let exchange, let routingKey), let properties, _):
            .returned(
                Return(code: code, text: text, exchange: exchange, routingKey: routingKey, properties: properties))
        case .whole(
            .basicDeliver(let consumer, let tag, let redelivered, let exchange, let routingKey), let properties,
            let body):
            .delivery(
                Delivery(
                    consumer: consumer, tag: tag, redelivered: redelivered, exchange: exchange,
                    routingKey: routingKey, properties: properties, body: body))
        case .whole: .violation("content of a method that has none")
        }
    }
}

extension InboundMethod {
    var isChannelClose: Bool {
        if case .channelClose = self { true } else { false }
    }
}
