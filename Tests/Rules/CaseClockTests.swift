import Model
import Rules
import Testing

@Suite("Clocks")
struct CaseClockTests {
    static let opened = Timestamp(microseconds: 1_790_000_000_000_000)
    static func at(_ minutes: Int) -> Timestamp { opened + .seconds(minutes * 60) }

    @Test(
        "Storm clocks count from the category's level on",
        arguments: [
            (StormLevel.none, 10), (.blue, 10), (.yellow, 20), (.orange, 20), (.red, 20),
        ])
    func storm(level: StormLevel, respond: Int) {
        let due = CaseClocks.due(openedAt: Self.opened, terms: TriageTests.terms, storm: level)
        #expect(due[.respond] == Self.at(respond))
    }

    @Test("A change of level moves open clocks and leaves the met ones as they were held")
    func recomputed() {
        var times = CaseClocks.Times(openedAt: Self.opened)
        times.due = CaseClocks.due(openedAt: Self.opened, terms: TriageTests.terms, storm: .none)
        times.met[.respond] = Self.at(4)
        let due = CaseClocks.recomputed(times, terms: TriageTests.terms, storm: .red, asOf: Self.at(5))
        #expect(due == [.respond: Self.at(10), .arrive: Self.at(60), .resolve: Self.at(480)])
    }

    @Test("What has run out by a change of level stays run out; told anew, a case has new clocks altogether")
    func late() {
        var times = CaseClocks.Times(openedAt: Self.opened)
        times.due = CaseClocks.due(openedAt: Self.opened, terms: TriageTests.terms, storm: .none)
        let changed = CaseClocks.recomputed(times, terms: TriageTests.terms, storm: .red, asOf: Self.at(15))
        #expect(changed == [.respond: Self.at(10), .arrive: Self.at(60), .resolve: Self.at(480)])
        let atDue = CaseClocks.recomputed(times, terms: TriageTests.terms, storm: .red, asOf: Self.at(10))
        #expect(atDue[.respond] == Self.at(10))
        let anew = CaseClocks.recomputed(times, terms: TriageTests.terms, storm: .red, asOf: nil)
        #expect(anew[.respond] == Self.at(20))
    }

    @Test("Suspended time counts for nobody")
    func paused() {
        let due = CaseClocks.due(
            openedAt: Self.opened, terms: TriageTests.terms, storm: .none, paused: .seconds(600))
        #expect(due[.resolve] == Self.at(250))
    }

    @Test("Overdue is what ran out unmet; the next clock is the first unmet one")
    func overdue() {
        var times = CaseClocks.Times(openedAt: Self.opened)
        times.due = CaseClocks.due(openedAt: Self.opened, terms: TriageTests.terms, storm: .none)
        #expect(CaseClocks.overdue(times, now: Self.at(9)).isEmpty)
        #expect(CaseClocks.overdue(times, now: Self.at(10)) == [.respond])
        times.met[.respond] = Self.at(12)
        #expect(CaseClocks.overdue(times, now: Self.at(31)) == [.arrive])
        #expect(CaseClocks.next(times)?.clock == .arrive)
        times.met = [.respond: Self.at(1), .arrive: Self.at(1), .resolve: Self.at(1)]
        #expect(CaseClocks.next(times) == nil)
    }

    @Test("In time is answered and handled in time; arriving late alone is not judged")
    func timeliness() {
        var times = CaseClocks.Times(openedAt: Self.opened)
        times.due = CaseClocks.due(openedAt: Self.opened, terms: TriageTests.terms, storm: .none)
        #expect(Timeliness(times, now: Self.at(5)) == .running)
        #expect(Timeliness(times, now: Self.at(11)) == .late)
        times.met[.respond] = Self.at(10)
        times.met[.arrive] = Self.at(90)
        #expect(Timeliness(times, now: Self.at(100)) == .running)
        times.met[.resolve] = Self.at(240)
        #expect(Timeliness(times, now: Self.at(9_999)) == .inTime)
        times.met[.resolve] = Self.at(241)
        #expect(Timeliness(times, now: Self.at(9_999)) == .late)
    }

    @Test("The lane's pressure runs from 0 at its calm to 1 at its bound")
    func pressure() {
        func pressure(_ worst: Double, _ oldest: Double) -> Double {
            LanePressure.pressure(
                LanePressure.Reading(worst: worst, oldestWaiting: oldest), calm: 10, bound: 60)
        }
        #expect(pressure(3, 10) == 0)
        #expect(pressure(35, 0) == 0.5)
        #expect(pressure(0, 900) == 1)
        #expect(pressure(.infinity, 0) == 1)
    }
}

@Suite("Which time counts?")
struct ObservedTimeTests {
    static let received = Timestamp(microseconds: 1_790_000_000_000_000)

    static func decide(
        observed secondsAgo: Int, offset: Int? = 0, previous: Int? = 0, lastStep stepAgo: Int = 3_600,
        stable stableAgo: Int = 86_400
    ) -> (counted: ObservedTime.Counted, at: Timestamp, code: String) {
        let decision = ObservedTime.decide(
            observedAt: received - .seconds(secondsAgo), receivedAt: received, offset: offset.map { .seconds($0) },
            previous: previous.map { PhoneClock(offset: .seconds($0), stableSince: received - .seconds(stableAgo)) },
            lastServerStepAt: received - .seconds(stepAgo))
        return (decision.counted, decision.at, decision.reason.code)
    }

    @Test("The phone's time counts, corrected by its offset, if two syncs agree")
    func observed() {
        let result = Self.decide(observed: 600, offset: 300, previous: 250)
        #expect(result.counted == .observed)
        #expect(result.at == Self.received - .seconds(300))
    }

    @Test(
        "Else the time of reception counts, and the reason is said",
        arguments: [
            (600, nil, 0, 3_600, "no_device_clock"), (600, 0, nil, 3_600, "first_sync"),
            (600, 121, 0, 3_600, "clock_was_changed"), (600, -121, 0, 3_600, "clock_was_changed"),
            (-5, 0, 0, 3_600, "in_the_future"), (600, 601, 601, 3_600, "in_the_future"),
            (600, 0, 0, 599, "before_last_step"),
        ] as [(Int, Int?, Int?, Int, String)])
    func received(observed: Int, offset: Int?, previous: Int?, step: Int, code: String) {
        let result = Self.decide(observed: observed, offset: offset, previous: previous, lastStep: step)
        #expect(result.counted == .received)
        #expect(result.at == Self.received)
        #expect(result.code == code)
    }

    @Test("What tells no time is dated by its reception; with no step before it any time may count")
    func without() {
        let known = PhoneClock(offset: .zero, stableSince: Self.received - .seconds(86_400))
        let untold = ObservedTime.decide(
            observedAt: nil, receivedAt: Self.received, offset: .zero, previous: known, lastServerStepAt: nil)
        #expect(untold.at == Self.received && untold.reason.code == "no_observed_time")
        let first = ObservedTime.decide(
            observedAt: Self.received - .seconds(86_400), receivedAt: Self.received, offset: .zero,
            previous: known, lastServerStepAt: nil)
        #expect(first.counted == .observed)
    }

    @Test("A clock that agrees again dates nothing from before it was moved")
    func moved() {
        #expect(Self.decide(observed: 600, stable: 600).counted == .observed)
        let before = Self.decide(observed: 600, stable: 599)
        #expect(before.counted == .received && before.at == Self.received && before.code == "clock_was_unknown")
        // Compared as corrected: a slow clock noted an earlier time.
        #expect(Self.decide(observed: 900, offset: 301, previous: 301, stable: 600).counted == .observed)
    }

    @Test("Exactly two minutes of drift still agree")
    func edge() {
        #expect(Self.decide(observed: 600, offset: 120, previous: 0).counted == .observed)
    }
}
