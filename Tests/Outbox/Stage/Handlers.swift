import Foundation
import Model
import Postgres

@testable import Outbox

/// Writes one row an event into `<schema>.effect`.
struct Recording: SegmentHandler {
    let schema: String
    var dropsCanaries = false

    func effects(of event: Event) throws -> (statements: [SQL], announcements: [Announcement]) {
        if event.data == Array(#"{"poison":true}"#.utf8) { throw Poison("as the test wants it") }
        return (["INSERT INTO \(identifier: schema).effect (event_id) VALUES (\(event.id))"], [])
    }
}

/// The same as a decision, under the lock of the event's aggregate. `fails` may throw for an event.
struct Deciding: DecisionHandler {
    let schema: String
    var fails: @Sendable (Event) throws -> Void = { _ in }
    var announces: @Sendable (Event) -> [Announcement] = { _ in [] }
    var cell: String?

    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Int) {
        var locks = events.map { AdvisoryLock.aggregate($0.aggregateID) }
        if let cell { locks.append(.cell(x: 1, y: 2, group: cell)) }
        return (locks, ["SELECT count(*) AS n FROM \(identifier: schema).effect"], events.count)
    }

    func decide(
        _ events: [Event], plan: Int, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) {
        for event in events { try fails(event) }
        let writes = events.map {
            "INSERT INTO \(identifier: schema).effect (event_id) VALUES (\($0.id))" as SQL
        }
        return (writes, events.flatMap(announces))
    }
}

/// Gives each event the next number without any lock: rivals meet in the table's key.
struct Numbering: DecisionHandler {
    let schema: String

    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Int) {
        ([], ["SELECT coalesce(max(n), 0)::integer AS last FROM \(identifier: schema).numbered"], events.count)
    }

    func decide(
        _ events: [Event], plan: Int, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) {
        var last = try rows[0].first?.decode("last", as: Int.self) ?? 0
        let writes = events.map { event -> SQL in
            last += 1
            return "INSERT INTO \(identifier: schema).numbered (n, event_id) VALUES (\(last), \(event.id))"
        }
        return (writes, [])
    }
}
