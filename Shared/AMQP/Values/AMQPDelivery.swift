/// A message that the broker handed to a consumer and that waits to be settled (acknowledged or returned).
public struct AMQPDelivery: Sendable {
    public let exchange: String
    public let routingKey: String
    public let properties: MessageProperties
    public let body: [UInt8]
    /// The broker has delivered it before, to this or another consumer.
    public let redelivered: Bool
    /// How often a quorum queue has taken the message back before this delivery; 0 for a first delivery and for queues
    /// that don't count.
    public let deliveryCount: Int
    /// Which message of which channel, for ``AMQPConsumer/ack(_:)`` and its like.
    public let tag: Tag

    /// The place of a delivery in the life of its channel. A tag of a channel that is gone settles nothing: the broker
    /// delivers that message again.
    public struct Tag: Sendable, Hashable {
        let generation: UInt64
        let number: UInt64
    }
}
