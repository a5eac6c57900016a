import CRabbitMQ

extension OutboundMethod {
    var id: MethodID {
        switch self {
        case .connectionStartOK: .connectionStartOK
        case .connectionTuneOK: .connectionTuneOK
        case .connectionOpen: .connectionOpen
        case .connectionClose: .connectionClose
        case .connectionCloseOK: .connectionCloseOK
        case .channelOpen: .channelOpen
        case .channelFlowOK: .channelFlowOK
        case .channelClose: .channelClose
        case .channelCloseOK: .channelCloseOK
        case .exchangeDeclare: .exchangeDeclare
        case .queueDeclare: .queueDeclare
        case .queueBind: .queueBind
        case .basicQos: .basicQos
        case .basicConsume: .basicConsume
        case .basicCancel: .basicCancel
        case .basicPublish: .basicPublish
        case .basicAck: .basicAck
        case .basicNack: .basicNack
        case .confirmSelect: .confirmSelect
        }
    }

    /// An upper bound of the bytes of the arguments.
    var encodedSizeBound: Int {
        switch self {
        case .connectionStartOK(let user, let password, _): 1024 + user.utf8.count + password.utf8.count
        case .connectionClose, .channelClose: 300
        default: shortStrings.reduce(128) { $0 + 1 + $1.utf8.count }
        }
    }

    /// Calls `body` with the library's struct for the method; strings live in the arena until it is recycled.
    /// Negative when memory is short.
    func withLibraryStruct(in arena: LibraryArena, _ body: (UnsafeMutableRawPointer) -> Int32) -> Int32 {
        func pass<T>(_ make: T?) -> Int32 {
            guard var value = make else { return -1 }
            return withUnsafeMutablePointer(to: &value) { body(UnsafeMutableRawPointer($0)) }
        }
        switch self {
        case .connectionStartOK(let user, let password, let connectionName):
            return pass(Self.startOK(user: user, password: password, connectionName: connectionName, in: arena))
        case .connectionTuneOK(let channelMax, let frameMax, let heartbeat):
            return pass(
                amqp_connection_tune_ok_t(channel_max: channelMax, frame_max: frameMax, heartbeat: heartbeat))
        case .connectionOpen(let virtualHost):
            return pass(
                arena.bytes(virtualHost).map {
                    amqp_connection_open_t(virtual_host: $0, capabilities: amqp_bytes_t(), insist: 0)
                })
        case .connectionClose(let code, let text):
            return pass(
                arena.bytes(text.shortened).map {
                    amqp_connection_close_t(reply_code: code, reply_text: $0, class_id: 0, method_id: 0)
                })
        case .channelClose(let code, let text):
            return pass(
                arena.bytes(text.shortened).map {
                    amqp_channel_close_t(reply_code: code, reply_text: $0, class_id: 0, method_id: 0)
                })
        case .connectionCloseOK: return pass(amqp_connection_close_ok_t())
        case .channelOpen: return pass(amqp_channel_open_t())
        case .channelFlowOK(let active): return pass(amqp_channel_flow_ok_t(active: active ? 1 : 0))
        case .channelCloseOK: return pass(amqp_channel_close_ok_t())
        case .exchangeDeclare(let name, let kind):
            var value = amqp_exchange_declare_t()
            guard let name = arena.bytes(name), let kind = arena.bytes(kind) else { return -1 }
            value.exchange = name
            value.type = kind
            value.durable = 1
            return pass(value)
        case .queueDeclare(let name, let passive, let kind):
            var value = amqp_queue_declare_t()
            guard let name = arena.bytes(name),
                let arguments = arena.table(kind.map { ["x-queue-type": .string($0)] } ?? [:])
            else { return -1 }
            value.queue = name
            value.passive = passive ? 1 : 0
            value.durable = 1
            value.arguments = arguments
            return pass(value)
        case .queueBind(let queue, let exchange, let routingKey):
            var value = amqp_queue_bind_t()
            guard let queue = arena.bytes(queue), let exchange = arena.bytes(exchange),
                let routingKey = arena.bytes(routingKey)
            else { return -1 }
            value.queue = queue
            value.exchange = exchange
            value.routing_key = routingKey
            return pass(value)
        case .basicQos(let prefetch):
            return pass(amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0))
        case .basicConsume(let queue, let consumer):
            var value = amqp_basic_consume_t()
            guard let queue = arena.bytes(queue), let consumer = arena.bytes(consumer) else { return -1 }
            value.queue = queue
            value.consumer_tag = consumer
            return pass(value)
        case .basicCancel(let consumer):
            return pass(arena.bytes(consumer).map { amqp_basic_cancel_t(consumer_tag: $0, nowait: 0) })
        case .basicPublish(let exchange, let routingKey, let mandatory):
            guard let exchange = arena.bytes(exchange), let routingKey = arena.bytes(routingKey) else { return -1 }
            return pass(
                amqp_basic_publish_t(
                    ticket: 0, exchange: exchange, routing_key: routingKey, mandatory: mandatory ? 1 : 0,
                    immediate: 0))
        case .basicAck(let tag, let multiple):
            return pass(amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0))
        case .basicNack(let tag, let multiple, let requeue):
            return pass(
                amqp_basic_nack_t(delivery_tag: tag, multiple: multiple ? 1 : 0, requeue: requeue ? 1 : 0))
        case .confirmSelect: return pass(amqp_confirm_select_t(nowait: 0))
        }
    }

    private static func startOK(
        user: String, password: String, connectionName: String, in arena: LibraryArena
    ) -> amqp_connection_start_ok_t? {
        let properties: [String: AMQPValue] = [
            "product": "sluice", "connection_name": .string(connectionName),
            "capabilities": .table([
                "publisher_confirms": true, "basic.nack": true, "consumer_cancel_notify": true,
                "connection.blocked": true, "authentication_failure_close": true,
            ]),
        ]
        guard let table = arena.table(properties), let mechanism = arena.bytes("PLAIN"),
            let response = arena.bytes("\0\(user)\0\(password)"), let locale = arena.bytes("en_US")
        else { return nil }
        return amqp_connection_start_ok_t(
            client_properties: table, mechanism: mechanism, response: response, locale: locale)
    }
}

extension amqp_basic_properties_t {
    /// `nil` when memory is short.
    init?(_ properties: MessageProperties, in arena: LibraryArena) {
        self.init()
        var flags = amqp_flags_t(AMQP_BASIC_DELIVERY_MODE_FLAG)
        delivery_mode = properties.deliveryMode.rawValue
        func set(_ text: String?, _ flag: Int32) -> amqp_bytes_t?? {
            guard let text else { return .some(nil) }
            flags |= amqp_flags_t(flag)
            guard let bytes = arena.bytes(text) else { return nil }
            return .some(bytes)
        }
        guard let contentType = set(properties.contentType, AMQP_BASIC_CONTENT_TYPE_FLAG),
            let contentEncoding = set(properties.contentEncoding, AMQP_BASIC_CONTENT_ENCODING_FLAG),
            let correlationID = set(properties.correlationID, AMQP_BASIC_CORRELATION_ID_FLAG),
            let messageID = set(properties.messageID, AMQP_BASIC_MESSAGE_ID_FLAG),
            let type = set(properties.type, AMQP_BASIC_TYPE_FLAG),
            let appID = set(properties.appID, AMQP_BASIC_APP_ID_FLAG)
        else { return nil }
        content_type = contentType ?? amqp_bytes_t()
        content_encoding = contentEncoding ?? amqp_bytes_t()
        correlation_id = correlationID ?? amqp_bytes_t()
        message_id = messageID ?? amqp_bytes_t()
        self.type = type ?? amqp_bytes_t()
        app_id = appID ?? amqp_bytes_t()
        if let seconds = properties.timestamp {
            flags |= amqp_flags_t(AMQP_BASIC_TIMESTAMP_FLAG)
            timestamp = seconds
        }
        if !properties.headers.isEmpty {
            guard let table = arena.table(properties.headers) else { return nil }
            flags |= amqp_flags_t(AMQP_BASIC_HEADERS_FLAG)
            headers = table
        }
        _flags = flags
    }
}

extension String {
    /// Cut to what a short string can carry.
    var shortened: String {
        utf8.count <= MessageProperties.shortStringLimit ? self : String(prefix(60))
    }
}
