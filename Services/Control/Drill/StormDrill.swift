internal import FoundationEssentials
internal import Model
internal import ServiceKit
internal import Synchronization

/// One drill: people come on duty, the storm is posted, everything is decided, people go home, the books are compared.
struct StormDrill: Sendable {
    let database: ControlDatabase
    let base: String
    let storm: StormScript
    let speed: Double
    let concurrency: Int
    /// The longest wait for everything to be decided.
    let settle: Duration
    let isAnonymous: Bool
    let hasPeople: Bool
    let output: OutputOptions

    /// Seconds. What the last look finds undone for less than this may still be on its way.
    private static let grace = 5

    func run() async throws -> DrillReport {
        let drill = Sources.system.randomUUID(Sources.system.now()).uuidString.lowercased()
        try await checkCity()
        let tokens = try await database.tokens()
        let tally = DrillTally()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            if hasPeople { try await callPeople(drill, tokens, tally, &group) }
            let start = ContinuousClock.now
            let posted = try await post(drill, tokens)
            let posting = (ContinuousClock.now - start) / .seconds(1)
            let ids = posted.compactMap(\.id)
            let settled = ContinuousClock.now
            try await waitUntilDecided(ids)
            let settling = (ContinuousClock.now - settled) / .seconds(1)
            let report = try await look(posted, posting: posting, settling: settling, tally: tally)
            await tally.end()
            try await group.waitForAll()
            return report
        }
    }

    // MARK: - Before

    private func checkCity() async throws {
        guard await CityClient(base: base, token: nil).reaches("/v1/categories") else {
            throw CommandFailure("\(base) does not answer: are the services running? `sluicectl doctor` says more")
        }
    }

    /// Crews start shifts and offices sit down. Tokens last for the whole drill.
    private func callPeople(
        _ drill: String, _ tokens: Tokens, _ tally: DrillTally, _ group: inout ThrowingTaskGroup<Void, any Error>
    ) async throws {
        let city = try SampleCity()
        let minutes = min(1440, Int(storm.duration / speed / 60) + Int(settle / .seconds(60)) + 15)
        let isOver: @Sendable () async -> Bool = { await tally.isOver }
        for crew in city.crews {
            let client = CityClient(base: base, token: try await tokens.make(login: crew.login, minutes: minutes))
            let simulated = SimulatedCrew(
                client: client, crew: crew, drill: drill, pace: SimulatedCrew.Pace(speed: speed), tally: tally)
            group.addTask { await simulated.work(until: isOver) }
        }
        for office in city.offices {
            let client = CityClient(base: base, token: try await tokens.make(login: office.login, minutes: minutes))
            let simulated = SimulatedOffice(
                client: client, office: office, drill: drill, look: .seconds(max(0.5, 60 / speed)), tally: tally)
            group.addTask { await simulated.attend(until: isOver) }
        }
        // Crews should be on shift before the first report comes.
        try await Task.sleep(for: .seconds(1))
    }

    // MARK: - During

    private func post(_ drill: String, _ tokens: Tokens) async throws -> [StormPoster.Posted] {
        let minutes = min(1440, Int(storm.duration / speed / 60) + 15)
        let client =
            isAnonymous
            ? CityClient(base: base, token: nil, device: Self.device())
            : CityClient(base: base, token: try await tokens.make(login: "dispatcher", minutes: minutes))
        let poster = StormPoster(client: client, drill: drill, speed: speed, concurrency: concurrency)
        let bar = output.bar("Storm", total: storm.lines.count)
        let posted = try await poster.post(storm.lines) { _ in bar.advance() }
        bar.finish()
        return posted
    }

    private static func device() -> String { Base64URL.encode(Sources.system.randomBytes(16)) }

    /// Until every report is decided, every emergency has a crew and a notice and, with people on duty, is dealt with; or
    /// the time is over.
    private func waitUntilDecided(_ reports: [UUID]) async throws {
        let measurements = DrillMeasurements(database: database)
        let deadline = ContinuousClock.now + settle
        let bar = output.bar("Decided", total: reports.count)
        var known = 0
        while true {
            let open = try await measurements.undecided(reports)
            bar.advance(by: max(0, reports.count - open - known))
            known = max(known, reports.count - open)
            let waiting = try await measurements.waiting(reports)
            let unfinished = hasPeople ? try await measurements.unfinished(reports) : 0
            if (open == 0 && waiting == 0 && unfinished == 0) || ContinuousClock.now >= deadline { break }
            try await Task.sleep(for: .milliseconds(500))
        }
        bar.finish()
    }

    // MARK: - After

    private func look(
        _ posted: [StormPoster.Posted], posting: Double, settling: Double, tally: DrillTally
    ) async throws -> DrillReport {
        let reports = posted.compactMap(\.id)
        let measurements = DrillMeasurements(database: database)
        let outcome = try await measurements.outcome(reports)
        let cases = try await measurements.cases(reports)
        func times(_ emergency: Bool, _ value: (DrillMeasurements.Case) -> Double?) -> Percentiles? {
            // Below zero: there was a crew before the report that made it an emergency.
            Percentiles(cases.filter { $0.emergency == emergency }.compactMap(value).filter { $0 >= 0 })
        }
        let waiting = try await WaitingEmergencies.read(reports, grace: Self.grace, database)
        let quiet = ProgressBar("Reconcile", total: 4, shown: false)
        let balance = try await Reconciliation(database: database).run(
            days: 1, grace: Self.grace, announcing: false, bar: quiet)
        let refusals = posted.compactMap(\.refusal).reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        let steps = await tally.steps
        return DrillReport(
            script: storm.title, notes: storm.notes, speed: speed, posting: posting, settling: settling,
            reportsIn: reports.count, emergencies: posted.count { $0.emergency },
            refused: posted.count { $0.id == nil }, refusals: refusals, cases: outcome.cases,
            emergencyCases: outcome.emergencyCases, merged: outcome.joined, rejected: outcome.rejected,
            crews: outcome.crews, ordersAccepted: steps["accepted"] ?? 0, ordersDone: steps["done"] ?? 0,
            notices: outcome.notices, acknowledged: outcome.acknowledged, emergenciesWaiting: waiting.all,
            emergenciesPassedOver: waiting.passedOver, emergenciesUntold: waiting.untold,
            receipt: Percentiles(posted.filter { $0.id != nil }.map(\.took)),
            emergencyToClaim: times(true, \.toClaim), emergencyToNotice: times(true, \.toNotice),
            routineToClaim: times(false, \.toClaim), routineToNotice: times(false, \.toNotice),
            peopleRefused: await tally.refusals, balance: balance)
    }
}
