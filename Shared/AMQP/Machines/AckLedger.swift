import DequeModule

/// The deliveries of one channel that wait to be settled. Says which frames settle them, as few as will do, and never
/// settles one twice: that would be an error of the whole channel.
struct AckLedger {
    struct Frame: Sendable, Hashable {
        var tag: UInt64
        var multiple: Bool
    }

    private var open: Set<UInt64> = []
    /// Ascending; settled ones are dropped when they reach the front.
    private var order: Deque<UInt64> = []
    /// Delivered, but never handed to a handler: not to be settled at all.
    private var dropped: Set<UInt64> = []

    /// Deliveries in the hands of handlers, or on the way to them.
    var inHand: Int { open.count - dropped.count }

    mutating func delivered(_ tag: UInt64) {
        guard tag > (order.last ?? 0), open.insert(tag).inserted else { return }
        order.append(tag)
    }

    /// What acknowledges these tags. Tags that are not open are passed over.
    mutating func acknowledge(_ tags: some Sequence<UInt64>) -> [Frame] {
        var now = tags.filter { !dropped.contains($0) && open.remove($0) != nil }
        guard !now.isEmpty else { return [] }
        now.sort()
        let front = advance()
        // All up to the last of `now` before the first open tag is settled, now or before: one frame covers it.
        let covered = now.prefix { $0 < front }
        var frames: [Frame] = []
        if let last = covered.last { frames.append(Frame(tag: last, multiple: covered.count > 1)) }
        return frames + now.dropFirst(covered.count).map { Frame(tag: $0, multiple: false) }
    }

    /// Every tag up to this one, oldest first.
    func openTags(upTo tag: UInt64) -> [UInt64] {
        order.prefix { $0 <= tag }.filter { open.contains($0) }
    }

    /// Whether the tag may be returned; it counts as settled then.
    mutating func giveBack(_ tag: UInt64) -> Bool {
        guard !dropped.contains(tag), open.remove(tag) != nil else { return false }
        _ = advance()
        return true
    }

    /// These will never be handed out; the end of the channel returns them.
    mutating func drop(_ tags: some Sequence<UInt64>) {
        for tag in tags where open.contains(tag) { dropped.insert(tag) }
    }

    /// Drops settled tags from the front; returns the first open one, or the largest number.
    private mutating func advance() -> UInt64 {
        while let first = order.first {
            if open.contains(first) { return first }
            order.removeFirst()
        }
        return .max
    }
}
