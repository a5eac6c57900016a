/// Class and method numbers of AMQP 0-9-1 (and RabbitMQ's extensions) that this client sends or accepts, as
/// `class << 16 | method`.
enum MethodID: UInt32, Sendable, CaseIterable {
    case connectionStart = 0x000A_000A
    case connectionStartOK = 0x000A_000B
    case connectionTune = 0x000A_001E
    case connectionTuneOK = 0x000A_001F
    case connectionOpen = 0x000A_0028
    case connectionOpenOK = 0x000A_0029
    case connectionClose = 0x000A_0032
    case connectionCloseOK = 0x000A_0033
    case connectionBlocked = 0x000A_003C
    case connectionUnblocked = 0x000A_003D
    case channelOpen = 0x0014_000A
    case channelOpenOK = 0x0014_000B
    case channelFlow = 0x0014_0014
    case channelFlowOK = 0x0014_0015
    case channelClose = 0x0014_0028
    case channelCloseOK = 0x0014_0029
    case exchangeDeclare = 0x0028_000A
    case exchangeDeclareOK = 0x0028_000B
    case queueDeclare = 0x0032_000A
    case queueDeclareOK = 0x0032_000B
    case queueBind = 0x0032_0014
    case queueBindOK = 0x0032_0015
    case basicQos = 0x003C_000A
    case basicQosOK = 0x003C_000B
    case basicConsume = 0x003C_0014
    case basicConsumeOK = 0x003C_0015
    case basicCancel = 0x003C_001E
    case basicCancelOK = 0x003C_001F
    case basicPublish = 0x003C_0028
    case basicReturn = 0x003C_0032
    case basicDeliver = 0x003C_003C
    case basicAck = 0x003C_0050
    case basicNack = 0x003C_0078
    case confirmSelect = 0x0055_000A
    case confirmSelectOK = 0x0055_000B
}

/// A method that the broker may send. Anything else ends the connection before the library decodes it.
enum InboundMethod: Sendable, Hashable {
    case connectionStart(mechanisms: String)
    case connectionTune(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16)
    case connectionOpenOK
    case connectionClose(Farewell)
    case connectionCloseOK
    case connectionBlocked(reason: String)
    case connectionUnblocked
    case channelOpenOK
    case channelFlow(active: Bool)
    case channelClose(Farewell)
    case channelCloseOK
    case exchangeDeclareOK
    case queueDeclareOK(messages: UInt32, consumers: UInt32)
    case queueBindOK
    case basicQosOK
    case basicConsumeOK(consumer: String)
    /// The broker cancelled the consumer, because its queue is gone.
    case basicCancel(consumer: String)
    case basicCancelOK(consumer: String)
    case basicReturn(code: UInt16, text: String, exchange: String, routingKey: String)
    case basicDeliver(consumer: String, tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
    case basicAck(tag: UInt64, multiple: Bool)
    case basicNack(tag: UInt64, multiple: Bool)
    case confirmSelectOK

    /// Why a peer ends a channel or connection.
    struct Farewell: Sendable, Hashable {
        var code: UInt16
        var text: String
    }

    static let ids: Set<MethodID> = [
        .connectionStart, .connectionTune, .connectionOpenOK, .connectionClose, .connectionCloseOK,
        .connectionBlocked, .connectionUnblocked, .channelOpenOK, .channelFlow, .channelClose, .channelCloseOK,
        .exchangeDeclareOK, .queueDeclareOK, .queueBindOK, .basicQosOK, .basicConsumeOK, .basicCancel,
        .basicCancelOK, .basicReturn, .basicDeliver, .basicAck, .basicNack, .confirmSelectOK,
    ]

    var id: MethodID {
        switch self {
        case .connectionStart: .connectionStart
        case .connectionTune: .connectionTune
        case .connectionOpenOK: .connectionOpenOK
        case .connectionClose: .connectionClose
        case .connectionCloseOK: .connectionCloseOK
        case .connectionBlocked: .connectionBlocked
        case .connectionUnblocked: .connectionUnblocked
        case .channelOpenOK: .channelOpenOK
        case .channelFlow: .channelFlow
        case .channelClose: .channelClose
        case .channelCloseOK: .channelCloseOK
        case .exchangeDeclareOK: .exchangeDeclareOK
        case .queueDeclareOK: .queueDeclareOK
        case .queueBindOK: .queueBindOK
        case .basicQosOK: .basicQosOK
        case .basicConsumeOK: .basicConsumeOK
        case .basicCancel: .basicCancel
        case .basicCancelOK: .basicCancelOK
        case .basicReturn: .basicReturn
        case .basicDeliver: .basicDeliver
        case .basicAck: .basicAck
        case .basicNack: .basicNack
        case .confirmSelectOK: .confirmSelectOK
        }
    }
}

/// A method that this client sends.
enum OutboundMethod: Sendable, Hashable {
    case connectionStartOK(user: String, password: String, connectionName: String)
    case connectionTuneOK(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16)
    case connectionOpen(virtualHost: String)
    case connectionClose(code: UInt16, text: String)
    case connectionCloseOK
    case channelOpen
    case channelFlowOK(active: Bool)
    case channelClose(code: UInt16, text: String)
    case channelCloseOK
    case exchangeDeclare(name: String, kind: String)
    case queueDeclare(name: String, passive: Bool, kind: String?)
    case queueBind(queue: String, exchange: String, routingKey: String)
    case basicQos(prefetch: UInt16)
    case basicConsume(queue: String, consumer: String)
    case basicCancel(consumer: String)
    case basicPublish(exchange: String, routingKey: String, mandatory: Bool)
    case basicAck(tag: UInt64, multiple: Bool)
    case basicNack(tag: UInt64, multiple: Bool, requeue: Bool)
    case confirmSelect

    /// The answer that the method asks for, if it asks for one.
    var reply: MethodID? {
        switch self {
        case .channelOpen: .channelOpenOK
        case .exchangeDeclare: .exchangeDeclareOK
        case .queueDeclare: .queueDeclareOK
        case .queueBind: .queueBindOK
        case .basicQos: .basicQosOK
        case .basicConsume: .basicConsumeOK
        case .basicCancel: .basicCancelOK
        case .confirmSelect: .confirmSelectOK
        case .connectionStartOK, .connectionTuneOK, .connectionOpen, .connectionClose, .connectionCloseOK,
            .channelFlowOK, .channelClose, .channelCloseOK, .basicPublish, .basicAck, .basicNack:
            nil
        }
    }

    /// Names that the method carries as short strings, which cannot be longer than 255 bytes.
    var shortStrings: [String] {
        switch self {
        case .connectionOpen(let virtualHost): [virtualHost]
        case .exchangeDeclare(let name, let kind): [name, kind]
        case .queueDeclare(let name, _, _): [name]
        case .queueBind(let queue, let exchange, let routingKey): [queue, exchange, routingKey]
        case .basicConsume(let queue, let consumer): [queue, consumer]
        case .basicCancel(let consumer): [consumer]
        case .basicPublish(let exchange, let routingKey, _): [exchange, routingKey]
        default: []
        }
    }
}
