import CRabbitMQ

// Copies out of the library's memory, which is gone when its buffers are released.

extension String {
    /// Broken UTF-8 is repaired: names and texts of a peer may hold anything.
    init(_ bytes: amqp_bytes_t) {
        self = String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

extension InboundMethod {
    /// `nil` for methods that a broker does not send.
    init?(id: MethodID, decoded pointer: UnsafeMutableRawPointer) {
        func read<T>(_: T.Type) -> T { pointer.assumingMemoryBound(to: T.self).pointee }
        switch id {
        case .connectionStart:
            self = .connectionStart(mechanisms: String(read(amqp_connection_start_t.self).mechanisms))
        case .connectionTune:
            let tune = read(amqp_connection_tune_t.self)
            self = .connectionTune(channelMax: tune.channel_max, frameMax: tune.frame_max, heartbeat: tune.heartbeat)
        case .connectionOpenOK: self = .connectionOpenOK
        case .connectionClose:
            let close = read(amqp_connection_close_t.self)
            self = .connectionClose(Farewell(code: close.reply_code, text: String(close.reply_text)))
        case .connectionCloseOK: self = .connectionCloseOK
        case .connectionBlocked: self = .connectionBlocked(reason: String(read(amqp_connection_blocked_t.self).reason))
        case .connectionUnblocked: self = .connectionUnblocked
        case .channelOpenOK: self = .channelOpenOK
        case .channelFlow: self = .channelFlow(active: read(amqp_channel_flow_t.self).active != 0)
        case .channelClose:
            let close = read(amqp_channel_close_t.self)
            self = .channelClose(Farewell(code: close.reply_code, text: String(close.reply_text)))
        case .channelCloseOK: self = .channelCloseOK
        case .exchangeDeclareOK: self = .exchangeDeclareOK
        case .queueDeclareOK:
            let queue = read(amqp_queue_declare_ok_t.self)
            self = .queueDeclareOK(messages: queue.message_count, consumers: queue.consumer_count)
        case .queueBindOK: self = .queueBindOK
        case .basicQosOK: self = .basicQosOK
        case .basicConsumeOK: self = .basicConsumeOK(consumer: String(read(amqp_basic_consume_ok_t.self).consumer_tag))
        case .basicCancel: self = .basicCancel(consumer: String(read(amqp_basic_cancel_t.self).consumer_tag))
        case .basicCancelOK: self = .basicCancelOK(consumer: String(read(amqp_basic_cancel_ok_t.self).consumer_tag))
        case .basicReturn:
            let returned = read(amqp_basic_return_t.self)
            self = .basicReturn(
                code: returned.reply_code, text: String(returned.reply_text), exchange: String(returned.exchange),
                routingKey: String(returned.routing_key))
        case .basicDeliver:
            let delivery = read(amqp_basic_deliver_t.self)
            self = .basicDeliver(
                consumer: String(delivery.consumer_tag), tag: delivery.delivery_tag,
                redelivered: delivery.redelivered != 0, exchange: String(delivery.exchange),
                routingKey: String(delivery.routing_key))
        case .basicAck:
            let ack = read(amqp_basic_ack_t.self)
            self = .basicAck(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case .basicNack:
            let nack = read(amqp_basic_nack_t.self)
            self = .basicNack(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        case .confirmSelectOK: self = .confirmSelectOK
        case .connectionStartOK, .connectionTuneOK, .connectionOpen, .channelOpen, .channelFlowOK, .exchangeDeclare,
            .queueDeclare, .queueBind, .basicQos, .basicConsume, .basicPublish, .confirmSelect:
            return nil
        }
    }
}

extension MessageProperties {
    init(_ decoded: amqp_basic_properties_t) {
        func text(_ bytes: amqp_bytes_t, _ flag: Int32) -> String? {
            decoded._flags & amqp_flags_t(flag) == 0 ? nil : String(bytes)
        }
        func has(_ flag: Int32) -> Bool { decoded._flags & amqp_flags_t(flag) != 0 }
        self.init(
            contentType: text(decoded.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG),
            contentEncoding: text(decoded.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG),
            messageID: text(decoded.message_id, AMQP_BASIC_MESSAGE_ID_FLAG),
            appID: text(decoded.app_id, AMQP_BASIC_APP_ID_FLAG),
            type: text(decoded.type, AMQP_BASIC_TYPE_FLAG),
            correlationID: text(decoded.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG),
            timestamp: has(AMQP_BASIC_TIMESTAMP_FLAG) ? decoded.timestamp : nil,
            deliveryMode: has(AMQP_BASIC_DELIVERY_MODE_FLAG) && decoded.delivery_mode == 2 ? .persistent : .transient,
            headers: has(AMQP_BASIC_HEADERS_FLAG) ? AMQPValue.dictionary(decoded.headers) : [:])
    }
}

extension AMQPValue {
    static func dictionary(_ table: amqp_table_t) -> [String: AMQPValue] {
        var result: [String: AMQPValue] = [:]
        for index in 0..<Int(table.num_entries) {
            let entry = table.entries[index]
            result[String(entry.key)] = AMQPValue(entry.value)
        }
        return result
    }

    init(_ field: amqp_field_value_t) {
        switch UnicodeScalar(field.kind) {
        case "t": self = .bool(field.value.boolean != 0)
        case "b": self = .int(Int64(field.value.i8))
        case "B": self = .int(Int64(field.value.u8))
        case "s": self = .int(Int64(field.value.i16))
        case "u": self = .int(Int64(field.value.u16))
        case "I": self = .int(Int64(field.value.i32))
        case "i": self = .int(Int64(field.value.u32))
        case "l": self = .int(field.value.i64)
        case "L": self = .int(Int64(clamping: field.value.u64))
        case "f": self = .double(Double(field.value.f32))
        case "d": self = .double(field.value.f64)
        case "D": self = .decimal(scale: field.value.decimal.decimals, unscaled: field.value.decimal.value)
        case "T": self = .timestamp(field.value.u64)
        case "F": self = .table(Self.dictionary(field.value.table))
        case "A":
            let array = field.value.array
            self = .array((0..<Int(array.num_entries)).map { AMQPValue(array.entries[$0]) })
        case "S":
            let raw = UnsafeRawBufferPointer(start: field.value.bytes.bytes, count: field.value.bytes.len)
            self = String(validating: raw, as: UTF8.self).map(AMQPValue.string) ?? .bytes(Array(raw))
        case "x":
            self = .bytes(Array(UnsafeRawBufferPointer(start: field.value.bytes.bytes, count: field.value.bytes.len)))
        default: self = .null
        }
    }
}
