import Testing

@testable import Postgres

/// Every event in every state: nothing that a network can bring about may trap.
/// M32: vapor/postgres-nio#347, vapor/postgres-nio#374, vapor/postgres-nio#601.
@Suite("States")
struct StateTests {
    static let slotStates: [SlotState] = [
        .down, .connecting, .up(users: 0), .up(users: 1), .up(users: 2), .cleaning, .retiring(users: 1),
        .retiring(users: 2), .closed,
    ]

    @Test(arguments: slotStates, SlotState.Event.allCases)
    func `A place answers every event, and never counts below zero`(state: SlotState, event: SlotState.Event) {
        var next = state
        let action = next.apply(event)
        #expect(next.users >= 0)
        switch action {
        // A session that is thrown away leaves its place free for another.
        case .discard: #expect(next == .down || next == .closed)
        case .close: #expect(next == .down || next == .closed)
        case .open: #expect(next == .connecting)
        case .serve: #expect(next.canTakeUser)
        case .clean: #expect(next == .cleaning)
        case .none: break
        }
        // A closed place stays closed.
        if state == .closed { #expect(next == .closed) }
    }

    @Test func `A place goes through its ordinary life`() {
        var state = SlotState.down
        #expect(state.apply(.connect) == .open)
        #expect(state.apply(.connected) == .serve)
        #expect(state.apply(.acquire) == .none)
        #expect(state.apply(.releaseDirty) == .clean)
        #expect(!state.canTakeUser)
        #expect(state.apply(.cleaned) == .serve)
        #expect(state.apply(.acquire) == .none)
        #expect(state.apply(.retire) == .none)
        #expect(!state.canTakeUser)
        #expect(state.apply(.release) == .close)
        #expect(state == .down)
    }

    /// The same seed gives the same story.
    struct Seeded: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    static let tripEvents: [TripState.Event] = [
        .failed(PostgresError(.server, "no", sqlState: "23505", severity: "ERROR")), .skipped, .end, .sync, .other,
        .failed(PostgresError(.connection, "gone")),
    ]

    @Test(arguments: 0..<200)
    func `A trip answers any order of events and always has an outcome`(seed: Int) {
        var random = Seeded(state: UInt64(seed))
        var trip = TripState(preamble: 1, statementCount: 3)
        var steps: [TripState.Step] = [
            .prepare(text: "a", name: "s1"), .execute(index: 0), .execute(index: 1),
            .prepare(text: "b", name: "s2"), .execute(index: 2), .sync,
        ]
        for _ in 0..<40 {
            if !steps.isEmpty, Bool.random(using: &random) {
                trip.sent(steps.removeFirst())
            } else if let event = Self.tripEvents.randomElement(using: &random) {
                _ = trip.receive(event)
            }
            for commit in [nil, 2, Int.max] {
                let lost = trip.outcomeIfLost(commitIndex: commit, fatal: nil)
                // What was not sent cannot have been committed.
                if lost.kind == .unknownOutcome {
                    #expect(commit != .max)
                    #expect(steps.isEmpty || commit == 2 && steps.count <= 1)
                }
            }
        }
    }

    @Test func `A failed preparation is forgotten and names its statement`() {
        var trip = TripState(preamble: 1, statementCount: 2)
        for step: TripState.Step in [
            .execute(index: 0), .prepare(text: "b", name: "s2"), .execute(index: 1), .sync,
        ] {
            trip.sent(step)
        }
        #expect(trip.receive(.failed(PostgresError(.server, "x", severity: "ERROR"))) == .none)
        #expect(trip.failure?.statementIndex == nil)
        #expect(trip.receive(.end) == .none)
        #expect(trip.receive(.skipped) == .forget(text: "b", name: "s2"))
        #expect(trip.receive(.end) == .none)
        #expect(trip.receive(.skipped) == .none)
        #expect(trip.receive(.end) == .none)
        #expect(trip.receive(.sync) == .finished)
        #expect(trip.failure?.skippedStatements == 1)
        #expect(trip.receive(.sync) == .violation)
    }

    @Test func `The least recently used statement goes first, and no name is used twice`() {
        var cache = StatementCache(capacity: 2)
        #expect(cache.name(for: "a") == .new(name: "s1"))
        #expect(cache.name(for: "b") == .new(name: "s2"))
        #expect(cache.name(for: "a") == .known(name: "s1"))
        #expect(cache.name(for: "c") == .new(name: "s3"))
        #expect(cache.takeLeftovers() == ["s2"])
        cache.forget("c", name: "s3")
        #expect(cache.name(for: "c") == .new(name: "s4"))
        cache.removeAll()
        #expect(cache.name(for: "a") == .new(name: "s5"))
    }

    @Test func `Waits double up to their limit, and jitter only shortens them`() {
        var backoff = Backoff()
        #expect(backoff.failed(isOurFault: false, jitter: 0) == .milliseconds(50))
        #expect(backoff.failed(isOurFault: false, jitter: 1) == .milliseconds(50))
        #expect(backoff.failed(isOurFault: false, jitter: 0) == .milliseconds(200))
        for _ in 0..<100 { _ = backoff.failed(isOurFault: false, jitter: 0) }
        #expect(backoff.failed(isOurFault: false, jitter: 0) == .seconds(5))
        backoff.succeeded()
        #expect(backoff.failed(isOurFault: true, jitter: 0) == .seconds(1))
    }
}
