import FoundationEssentials
import Model
import Rules
import Testing

@Suite("Same problem?")
struct TriageTests {
    static let district = id("00000000-0000-7000-8000-00000000d001", District.self)
    static let other = id("00000000-0000-7000-8000-00000000d002", District.self)
    static let here = Coordinate(lon: 114.05, lat: 22.55)
    static let now = Timestamp(microseconds: 1_790_000_000_000_000)
    static let terms = CategoryTerms(
        code: "flooding", version: 3, group: "water", mergeRadius: Metres(50), mergeWindowMinutes: 120,
        skills: ["pump"], clocks: ClockMinutes(respond: 10, arrive: 30, resolve: 240),
        stormClocks: ClockMinutes(respond: 20, arrive: 60, resolve: 480))

    static func id<Owner>(_ text: String, _ type: Owner.Type) -> Identifier<Owner> {
        Identifier(text) ?? Identifier(UUID())
    }

    static func north(_ metres: Double) -> Coordinate {
        Coordinate(lon: here.lon, lat: here.lat + metres / 111_195)
    }

    static func report(
        at place: Coordinate = here, emergency: Bool = false, severity: Severity = .normal, risk: Bool = false,
        verified: Bool = true, device: String? = "a", district: District.ID = district, kind: ReportKind = .hazard,
        received: Timestamp = now
    ) -> ReportSnapshot {
        ReportSnapshot(
            reportID: Report.ID(UUID()), districtID: district, kind: kind, category: "flooding", channel: .web,
            emergency: emergency, severity: severity, personAtRisk: risk, verified: verified, deviceHash: device,
            place: place, receivedAt: received, observedAt: received, ruleVersion: 1, ruleReason: "")
    }

    static let caseID = id("00000000-0000-7000-8000-00000000c001", Case.self)

    static func site(
        _ caseID: Case.ID = caseID, at place: Coordinate = here, state: CaseState = .filed, group: String = "water",
        emergency: Bool = false, severity: Severity = .normal, verified: Bool = true, minutesAgo: Int = 10,
        resolvedMinutesAgo: Int? = nil, closedMinutesAgo: Int? = nil, devices: Set<String> = ["a"]
    ) -> Triage.Site {
        func ago(_ minutes: Int) -> Timestamp { now - .seconds(minutes * 60) }
        return Triage.Site(
            caseID: caseID, districtID: district, group: group, place: place, state: state, emergency: emergency,
            severity: severity, verified: verified, lastReportAt: ago(minutesAgo),
            resolvedAt: resolvedMinutesAgo.map(ago), closedAt: closedMinutesAgo.map(ago), devices: devices)
    }

    static func decide(_ report: ReportSnapshot, _ sites: [Triage.Site]) -> (outcome: Triage.Outcome, code: String) {
        let decision = Triage.decide(report, terms: terms, sites: sites)
        return (decision.outcome, decision.reason.code)
    }

    @Test("A report near an open case of its group, in time, joins it")
    func joins() {
        let result = Self.decide(Self.report(at: Self.north(49)), [Self.site()])
        #expect(result.outcome == .joins(Self.caseID, change: Triage.Change()))
        #expect(result.code == "same_problem")
    }

    @Test("Radius, group and window each keep problems apart")
    func apart() {
        let far = Self.decide(Self.report(at: Self.north(51)), [Self.site()])
        #expect(far.code == "new_problem")
        #expect(Self.decide(Self.report(), [Self.site(group: "cover")]).code == "new_problem")
        let long = Self.decide(Self.report(), [Self.site(minutesAgo: 121)])
        #expect(long.outcome == .opens(perhapsSame: Self.caseID, perhapsAgain: nil))
        #expect(long.code == "perhaps_same_long_ago")
        #expect(
            Self.decide(Self.report(district: Self.other), [Self.site()]).code == "perhaps_same_other_district")
    }

    @Test("The nearest of several takes the report")
    func nearest() {
        let near = Self.id("00000000-0000-7000-8000-00000000c002", Case.self)
        let sites = [Self.site(at: Self.north(30)), Self.site(near, at: Self.north(-5))]
        #expect(Self.decide(Self.report(), sites).outcome == .joins(near, change: Triage.Change()))
    }

    @Test("A closed case absorbs nothing: a new one names it as perhaps come back")
    func closed() {
        let again = Self.decide(Self.report(), [Self.site(state: .closed, closedMinutesAgo: 60)])
        #expect(again.outcome == .opens(perhapsSame: nil, perhapsAgain: Self.caseID))
        #expect(again.code == "perhaps_again")
        let old = Self.decide(Self.report(), [Self.site(state: .closed, closedMinutesAgo: 121)])
        #expect(old.outcome == .opens(perhapsSame: nil, perhapsAgain: nil))
        for state in [CaseState.rejected, .merged] {
            #expect(Self.decide(Self.report(), [Self.site(state: state)]).code == "new_problem")
        }
    }

    @Test("A case that is said to be solved takes only what was said before")
    func verification() {
        let site = Self.site(state: .verification, resolvedMinutesAgo: 5)
        #expect(Self.decide(Self.report(), [site]).code == "perhaps_not_solved")
        let earlier = Self.report(received: Self.now - .seconds(360))
        #expect(Self.decide(earlier, [site]).code == "same_problem")
    }

    @Test("A suspended case takes routine reports, and no emergency")
    func suspended() {
        let site = Self.site(state: .suspended)
        #expect(Self.decide(Self.report(), [site]).code == "same_problem")
        #expect(Self.decide(Self.report(emergency: true, severity: .high), [site]).code == "perhaps_not_solved")
    }

    @Test("An emergency links quickly to an open emergency")
    func quick() {
        let site = Self.site(emergency: true, severity: .high)
        let result = Self.decide(Self.report(emergency: true, severity: .high), [site])
        #expect(result.outcome == .joins(Self.caseID, change: Triage.Change()))
    }

    @Test("A person at risk, or something worse, claims for itself beside the open emergency")
    func worse() {
        let site = Self.site(emergency: true, severity: .high)
        for report in [
            Self.report(emergency: true, severity: .high, risk: true),
            Self.report(emergency: true, severity: .lifeAtRisk),
        ] {
            let result = Self.decide(report, [site])
            #expect(result.outcome == .opens(perhapsSame: Self.caseID, perhapsAgain: nil))
            #expect(result.code == "perhaps_same_but_worse")
        }
    }

    @Test("An emergency raises the routine case that it joins")
    func raises() {
        let result = Self.decide(Self.report(emergency: true, severity: .high), [Self.site()])
        #expect(
            result.outcome
                == .joins(Self.caseID, change: Triage.Change(raisesToEmergency: true, severity: .high)))
        #expect(result.code == "raised_by_emergency")
    }

    @Test("A second device, or a known sender, verifies; the first one's repetition does not")
    func verifies() {
        let site = Self.site(emergency: true, severity: .high, verified: false)
        func change(_ report: ReportSnapshot) -> Triage.Change? {
            guard case .joins(_, let change) = Self.decide(report, [site]).outcome else { return nil }
            return change
        }
        #expect(change(Self.report(emergency: true, severity: .high, verified: false))?.verifies == false)
        #expect(change(Self.report(emergency: true, severity: .high, verified: false, device: "b"))?.verifies == true)
        #expect(change(Self.report(emergency: true, severity: .high, verified: true))?.verifies == true)
    }

    @Test("An unverified sender who raises its own routine case makes it unverified")
    func unverifies() {
        guard
            case .joins(_, let change) = Self.decide(
                Self.report(emergency: true, severity: .high, verified: false), [Self.site()]
            ).outcome
        else { return #expect(Bool(false), "it joins") }
        #expect(change.unverifies)
    }

    @Test("Readings and alerts open no case", arguments: [ReportKind.reading, .alert])
    func facts(kind: ReportKind) {
        #expect(Self.decide(Self.report(kind: kind), [Self.site()]).outcome == .noCase)
    }
}

@Suite("Cells")
struct CellTests {
    @Test("Two places within the radius always share a cell", arguments: [1.0, 50, 250, 500])
    func share(radius: Double) {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<300 {
            let a = Coordinate(
                lon: .random(in: -179...179, using: &random), lat: .random(in: -70...70, using: &random))
            let b = Coordinate(
                lon: a.lon + .random(in: -1...1, using: &random) * radius / 111_195,
                lat: a.lat + .random(in: -1...1, using: &random) * radius / 111_195)
            guard Geodesy.distance(a, b).rawValue <= radius else { continue }
            let shared = Set(Cell.touched(by: a, radius: Metres(radius)))
                .intersection(Cell.touched(by: b, radius: Metres(radius)))
            #expect(!shared.isEmpty)
            // The search looks for cases by the cell that their place lies in.
            #expect(Cell.touched(by: a, radius: Metres(radius)).contains(Cell(of: b)))
        }
    }

    @Test("Numbers of cells tell them apart, also west and south of zero")
    func numbers() {
        let cells = (-2...2).flatMap { y in (-2...2).map { Cell(x: Int32($0), y: Int32(y)) } }
        #expect(Set(cells.map(\.number)).count == 25)
    }
}

/// A small deterministic generator (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
