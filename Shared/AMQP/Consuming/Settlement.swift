import NIOConcurrencyHelpers

/// What handlers have decided about deliveries and the event loop has yet to tell the broker.
enum Settlement: Sendable {
    case acknowledge([AMQPDelivery.Tag])
    case acknowledgeUpTo(AMQPDelivery.Tag)
    case giveBack(AMQPDelivery.Tag, requeue: Bool)
}

/// Where handlers leave their decisions. A hop to the event loop is paid for a batch, not for each.
final class SettlementQueue: Sendable {
    private let queue = NIOLockedValueBox<[Settlement]>([])

    /// `true` if it was the first, so that somebody must be told.
    func append(_ settlement: Settlement) -> Bool {
        queue.withLockedValue {
            $0.append(settlement)
            return $0.count == 1
        }
    }

    func takeAll() -> [Settlement] {
        queue.withLockedValue {
            let all = $0
            $0 = []
            return all
        }
    }
}
