internal import AMQP
internal import Model

/// One delivery of the broker with the events in it. It is acknowledged when all of them are settled.
final class Parcel: Sendable {
    let delivery: AMQPDelivery
    private let left: Mutexed<Int>

    init(_ delivery: AMQPDelivery, events: Int) {
        self.delivery = delivery
        self.left = Mutexed(events)
    }

    /// One more is settled.
    /// - Returns: whether that was the last one.
    func settleOne() -> Bool {
        left.withLock { left in
            left -= 1
            return left == 0
        }
    }
}

extension Message {
    /// The messages of one delivery: one, or those of a batch. A batch that cannot be taken apart is one message that
    /// nobody can read.
    static func messages(of delivery: AMQPDelivery) -> [Message] {
        let properties = delivery.properties
        guard properties.contentType == EventBatch.contentType, let events = EventBatch.split(delivery.body),
            !events.isEmpty
        else {
            var message = Message(
                body: delivery.body, path: .broker, source: properties.appID,
                id: properties.messageID.flatMap { EventRecord.ID($0)?.rawValue }, type: properties.type)
            message.parcel = Parcel(delivery, events: 1)
            return [message]
        }
        let parcel = Parcel(delivery, events: events.count)
        return events.map { body in
            var message = Message(body: body, path: .broker, source: nil, id: nil, type: properties.type)
            message.parcel = parcel
            return message
        }
    }
}
