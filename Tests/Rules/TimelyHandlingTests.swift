import FoundationEssentials
import Model
import Rules
import Testing

@Suite("Timely handling (Table 1, row 7)")
struct TimelyHandlingTests {
    private static let opened = Timestamp(microseconds: 1_790_000_000_000_000)

    private static func minutes(_ count: Int?) -> Timestamp? {
        count.map { opened + .seconds($0 * 60) }
    }

    /// A case with a respond clock of 10 minutes and a resolve clock of 60.
    private static func facts(
        _ state: CaseState, responded: Int? = nil, resolved: Int? = nil, closed: Int? = nil, respondDue: Int? = 10,
        resolveDue: Int? = 60
    ) -> CaseSnapshot {
        CaseSnapshot(
            caseID: Identifier(UUID()), version: 1, districtID: District.city, responsibleDistrictID: District.city,
            kind: .hazard, category: "manhole_cover_missing", emergency: true, verified: true, severity: .high,
            state: state, place: Coordinate(lon: 114, lat: 22.5), openedAt: opened, respondDue: minutes(respondDue),
            resolveDue: minutes(resolveDue), respondedAt: minutes(responded), resolvedAt: minutes(resolved),
            closedAt: minutes(closed))
    }

    private static func suspended(_ minute: Int, responded: Int? = nil) -> CaseSnapshot {
        var facts = facts(.suspended, responded: responded)
        facts.suspendedAt = opened + .seconds(minute * 60)
        return facts
    }

    private static let table: [(String, CaseSnapshot, TimelyHandling.Verdict)] = [
        ("answered and handled before both clocks", facts(.closed, responded: 5, resolved: 40, closed: 45), .inTime),
        ("both on the very minute", facts(.closed, responded: 10, resolved: 60), .inTime),
        (
            "answered too late, handled in time", facts(.closed, responded: 11, resolved: 40),
            .late(.respond, since: opened + .seconds(600))
        ),
        (
            "handled too late", facts(.verification, responded: 5, resolved: 61),
            .late(.resolve, since: opened + .seconds(3600))
        ),
        (
            "not answered yet: the nearer clock is named", facts(.dispatched),
            .pending(.respond, lateAt: opened + .seconds(600))
        ),
        (
            "answered, not handled yet", facts(.handling, responded: 5),
            .pending(.resolve, lateAt: opened + .seconds(3600))
        ),
        (
            "answered too late stays late while it is open", facts(.handling, responded: 12),
            .late(.respond, since: opened + .seconds(600))
        ),
        ("handled without an answer before: handling answers", facts(.closed, resolved: 8), .inTime),
        ("closed by a dispatcher in time without a crew", facts(.closed, closed: 9), .inTime),
        (
            "reopened cases have no resolution", facts(.reopened, responded: 5),
            .pending(.resolve, lateAt: opened + .seconds(3600))
        ),
        ("suspended before any clock ran out: they stand still", suspended(9), .pending(.respond, lateAt: nil)),
        ("suspended, answered before", suspended(20, responded: 5), .pending(.resolve, lateAt: nil)),
        (
            "suspended on the very minute of a clock", suspended(10), .late(.respond, since: opened + .seconds(600))
        ),
        (
            "suspended after a clock had run out", suspended(61, responded: 5),
            .late(.resolve, since: opened + .seconds(3600))
        ),
        ("merged", facts(.merged, responded: 90), .excluded(.merged)),
        ("rejected", facts(.rejected), .excluded(.rejected)),
        ("no clock at all", facts(.handling, respondDue: nil, resolveDue: nil), .excluded(.noClock)),
        ("only a resolve clock", facts(.closed, resolved: 60, respondDue: nil), .inTime),
    ]

    @Test("what the latest facts say", arguments: table.indices)
    func verdict(row: Int) {
        let (what, facts, expected) = Self.table[row]
        #expect(TimelyHandling.verdict(of: facts) == expected, "\(what)")
    }

    private static let bands = Bands(bands: [
        .init(from: 0.9, points: 1), .init(from: 0.8, points: 0.8), .init(from: 0, points: 0.5),
    ])

    @Test(
        "bands are closed below",
        arguments: [
            (9, 10, 1.0), (899, 1000, 0.8), (8, 10, 0.8), (799, 1000, 0.5), (0, 7, 0.5), (7, 7, 1.0), (900, 1000, 1.0),
            (27, 30, 1.0), (24, 30, 0.8),
        ])
    func points(part: Int, whole: Int, expected: Double) {
        #expect(Self.bands.points(part, of: whole) == expected)
    }

    @Test("no case is no data, not zero")
    func noData() {
        #expect(Self.bands.points(0, of: 0) == nil)
    }
}
