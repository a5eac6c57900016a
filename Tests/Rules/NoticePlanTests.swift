import FoundationEssentials
import Model
import Rules
import Testing

@Suite("What a case's snapshot asks of notification")
struct NoticePlanTests {
    private static let street = Street.ID(UUID())
    private static let otherStreet = Street.ID(UUID())

    private static func snapshot(
        _ version: Int, _ state: CaseState, emergency: Bool, street: Street.ID = street
    ) -> CaseSnapshot {
        CaseSnapshot(
            caseID: Identifier(UUID(uuid: (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))), version: version,
            districtID: District.city, responsibleDistrictID: District.city, streetID: street, kind: .hazard,
            category: "flooding", emergency: emergency, verified: true, severity: .high, state: state,
            place: Coordinate(lon: 114, lat: 22.5), openedAt: Timestamp(microseconds: 0))
    }

    private static let table: [(String, CaseSnapshot?, CaseSnapshot, [NoticePlan.Action])] = [
        ("a new emergency", nil, snapshot(1, .filed, emergency: true), [.tellEmergency(.openedAsEmergency)]),
        ("a new routine case", nil, snapshot(1, .filed, emergency: false), [.tellRoutine]),
        ("first heard of when it was over", nil, snapshot(4, .closed, emergency: true), []),
        (
            "raised", snapshot(1, .filed, emergency: false), snapshot(2, .filed, emergency: true),
            [.tellEmergency(.raised)]
        ),
        ("an emergency goes on", snapshot(1, .filed, emergency: true), snapshot(2, .handling, emergency: true), []),
        ("an older snapshot", snapshot(3, .filed, emergency: false), snapshot(2, .filed, emergency: true), []),
        ("the same snapshot again", snapshot(2, .filed, emergency: true), snapshot(2, .filed, emergency: true), []),
        (
            "closed", snapshot(2, .handling, emergency: true), snapshot(3, .closed, emergency: true),
            [.standDown(.closed)]
        ),
        (
            "merged", snapshot(2, .filed, emergency: true), snapshot(3, .merged, emergency: true), [.standDown(.merged)]
        ),
        (
            "lowered", snapshot(2, .filed, emergency: true), snapshot(3, .filed, emergency: false),
            [.standDown(.lowered)]
        ),
        (
            "reopened", snapshot(2, .closed, emergency: true), snapshot(3, .reopened, emergency: true),
            [.tellEmergency(.reopened)]
        ),
        (
            "moved to another street", snapshot(2, .filed, emergency: true),
            snapshot(3, .filed, emergency: true, street: otherStreet), [.standDown(.moved), .tellEmergency(.moved)]
        ),
        ("a routine case is closed", snapshot(1, .filed, emergency: false), snapshot(2, .closed, emergency: false), []),
    ]

    @Test("is the difference to the one held", arguments: table.indices)
    func actions(row: Int) {
        let (what, held, new, expected) = Self.table[row]
        #expect(NoticePlan.actions(held: held, new: new) == expected, "\(what)")
    }

    @Test("Whatever was lost between, the end is the same as if all had come")
    func lostEvents() {
        let first = Self.snapshot(1, .filed, emergency: false)
        let last = Self.snapshot(5, .handling, emergency: true)
        #expect(NoticePlan.actions(held: first, new: last) == [.tellEmergency(.raised)])
    }
}

@Suite("Deliveries are tried again")
struct DeliveryRetryTests {
    @Test(
        "after pauses that double up to five minutes",
        arguments: [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (15, 300.0)])
    func doubling(attempt: Int, seconds: Double) {
        #expect(DeliveryRetry.pause(afterAttempt: attempt, fraction: 1) == .seconds(seconds))
        #expect(DeliveryRetry.pause(afterAttempt: attempt, fraction: 0) == .seconds(seconds / 2))
    }

    @Test("until they are given up")
    func givingUp() {
        #expect(DeliveryRetry.pause(afterAttempt: DeliveryRetry.tries, fraction: 0.5) == nil)
    }

    @Test("not before the other side wants it, but within the hour")
    func retryAfter() {
        #expect(DeliveryRetry.pause(afterAttempt: 1, fraction: 1, retryAfter: .seconds(30)) == .seconds(30))
        #expect(DeliveryRetry.pause(afterAttempt: 1, fraction: 1, retryAfter: .seconds(999_999)) == .seconds(3600))
    }
}
