import Metrics
import NIOCore

// What arrives, and what handlers decide about it.
extension ConsumerCore {
    func arrive(_ delivery: ChannelMachine.Delivery) {
        ledger.delivered(delivery.tag)
        watch?.delivered(at: .now())
        let count = delivery.properties.headers["x-delivery-count"]?.intValue ?? 0
        arrived.append(
            AMQPDelivery(
                exchange: delivery.exchange, routingKey: delivery.routingKey, properties: delivery.properties,
                body: delivery.body, redelivered: delivery.redelivered, deliveryCount: Int(clamping: count),
                tag: AMQPDelivery.Tag(generation: generation, number: delivery.tag)))
    }

    /// Hands over what one read brought, in one piece.
    func handOver() {
        guard !arrived.isEmpty else { return }
        let batch = arrived
        arrived = []
        consumeInstruments.deliveries.increment(by: batch.count)
        let redelivered = batch.count(where: \.redelivered)
        if redelivered > 0 { consumeInstruments.redeliveries.increment(by: redelivered) }
        buffer.push(batch)
    }

    func takeSettlements() {
        var done: [UInt64] = []
        for settlement in settlements.takeAll() {
            switch settlement {
            case .acknowledge(let tags):
                done += tags.lazy.filter { $0.generation == self.generation }.map(\.number)
            case .acknowledgeUpTo(let tag):
                if tag.generation == generation { done += ledger.openTags(upTo: tag.number) }
            case .giveBack(let tag, let requeue):
                // In the order of the handlers' decisions, since one may settle what another gives back.
                acknowledge(&done)
                giveBack(tag, requeue: requeue)
            }
        }
        acknowledge(&done)
        if stopped != nil { wakeup.ring() }
    }

    private func acknowledge(_ tags: inout [UInt64]) {
        defer { tags = [] }
        guard !tags.isEmpty, let connection, let channel else { return }
        let before = ledger.inHand
        for frame in ledger.acknowledge(tags) {
            connection.tell(.basicAck(tag: frame.tag, multiple: frame.multiple), on: channel)
        }
        consumeInstruments.acknowledged.increment(by: before - ledger.inHand)
    }

    private func giveBack(_ tag: AMQPDelivery.Tag, requeue: Bool) {
        guard tag.generation == generation, let connection, let channel, ledger.giveBack(tag.number) else { return }
        connection.tell(.basicNack(tag: tag.number, multiple: false, requeue: requeue), on: channel)
        consumeInstruments.returned.increment()
    }
}
