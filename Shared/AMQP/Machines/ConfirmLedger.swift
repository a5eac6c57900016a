import DequeModule
import NIOCore

/// The publishes of one channel that wait for the broker's word. `Waiter` is whoever wants to hear it.
///
/// A return bears no number and comes before its acknowledgement, so it is matched by the message's own id and turns
/// the acknowledgement that follows into a refusal.
struct ConfirmLedger<Waiter> {
    struct Entry {
        /// `nil` once the waiter has been told something else (it gave up, or time did).
        var waiter: Waiter?
        var submission: UInt64
        var messageID: String
        var exchange: String
        var routingKey: String
        var bytes: Int
        /// Until when its waiter waits, the time in line included.
        var deadline: NIODeadline
        /// Until when the broker must have spoken, counted from the moment it was sent.
        var confirmBy: NIODeadline
        var refusal: String?
        /// The broker's time was up, and `expire` has said so.
        var isOverdue = false
    }

    /// The number that the broker gives to the first entry, settled ones included.
    private var base: UInt64 = 1
    /// `nil` for settled ones that have unsettled elders.
    private var entries: Deque<Entry?> = []
    /// Unsettled entries.
    private(set) var count = 0
    /// Body bytes of unsettled entries.
    private(set) var bytes = 0

    mutating func sent(_ entry: Entry) {
        entries.append(entry)
        count += 1
        bytes += entry.bytes
    }

    /// Marks the oldest matching publish as returned. `false` if none matches.
    @discardableResult
    mutating func returned(messageID: String, exchange: String, routingKey: String, reason: String) -> Bool {
        for index in entries.indices {
            guard let entry = entries[index], entry.refusal == nil, entry.messageID == messageID,
                entry.exchange == exchange, entry.routingKey == routingKey
            else { continue }
            entries[index]?.refusal = reason
            return true
        }
        return false
    }

    /// Settles what a confirm speaks of. Numbers that were never given, or were settled before, are nobody's.
    mutating func settle(tag: UInt64, multiple: Bool, positive: Bool) -> [(Waiter, PublishOutcome)] {
        let end = base + UInt64(entries.count)
        var settled: [(Waiter, PublishOutcome)] = []
        if multiple {
            // 0 means "all so far".
            let last = tag == 0 ? end - 1 : tag
            guard last >= base, last < end else { return [] }
            for index in 0...Int(last - base) { settle(at: index, positive: positive, into: &settled) }
        } else {
            guard tag >= base, tag < end else { return [] }
            settle(at: Int(tag - base), positive: positive, into: &settled)
        }
        while let first = entries.first, first == nil {
            entries.removeFirst()
            base += 1
        }
        return settled
    }

    private mutating func settle(at index: Int, positive: Bool, into settled: inout [(Waiter, PublishOutcome)]) {
        guard let entry = entries[index] else { return }
        entries[index] = nil
        count -= 1
        bytes -= entry.bytes
        guard let waiter = entry.waiter else { return }
        if let refusal = entry.refusal {
            settled.append((waiter, .refused(reason: refusal)))
        } else {
            settled.append((waiter, positive ? .confirmed : .refused(reason: "the broker refused the message")))
        }
    }

    struct Expired {
        var waiters: [Waiter] = []
        /// The broker has become late with some publish, be it that its waiter had given up before.
        var isAny = false
    }

    /// Takes the waiters whose time is up; their entries stay until the broker speaks or the channel ends.
    mutating func expire(at now: NIODeadline) -> Expired {
        var expired = Expired()
        for index in entries.indices {
            guard let entry = entries[index] else { continue }
            if let waiter = entry.waiter, entry.deadline <= now {
                expired.waiters.append(waiter)
                entries[index]?.waiter = nil
            }
            if !entry.isOverdue, entry.confirmBy <= now {
                expired.isAny = true
                entries[index]?.isOverdue = true
            }
        }
        return expired
    }

    /// Takes the waiter of a submission that gave up, if it still waits.
    mutating func abandon(submission: UInt64) -> Waiter? {
        for index in entries.indices {
            guard let entry = entries[index], entry.submission == submission else { continue }
            entries[index]?.waiter = nil
            return entry.waiter
        }
        return nil
    }

    /// Ends the channel's numbering: whoever waits does not know.
    mutating func failAll() -> [Waiter] {
        let waiters = entries.compactMap { $0?.waiter }
        self = ConfirmLedger()
        return waiters
    }
}
