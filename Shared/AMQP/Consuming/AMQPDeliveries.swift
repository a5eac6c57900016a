/// The deliveries of a consumer, one by one. Ends when the consumer is stopped or the task is cancelled; a lost
/// connection does not end it.
public struct AMQPDeliveries: AsyncSequence, Sendable {
    public typealias Element = AMQPDelivery
    public typealias Failure = Never

    let consumer: AMQPConsumer

    public struct AsyncIterator: AsyncIteratorProtocol {
        let consumer: AMQPConsumer

        public mutating func next() async -> AMQPDelivery? {
            await consumer.nextBatch(max: 1).first
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async -> AMQPDelivery? {
            await consumer.nextBatch(max: 1).first
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(consumer: consumer) }
}
