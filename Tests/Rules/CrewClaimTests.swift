import FoundationEssentials
import Model
import Rules
import Testing

@Suite("Which crew?")
struct CrewClaimTests {
    static let district = District.ID(UUID())
    static let other = District.ID(UUID())

    static func demand(emergency: Bool = true, severity: Severity = .high, excluded: Set<Crew.ID> = [])
        -> CrewClaim.Demand
    {
        CrewClaim.Demand(
            caseID: Case.ID(UUID()), districtID: district, emergency: emergency, severity: severity, skills: ["pump"],
            excluded: excluded)
    }

    static func crew(
        _ metres: Double, onShift: Bool = true, skills: Set<String> = ["pump", "cover"],
        districts: Set<District.ID> = [district], job: CrewClaim.Job? = nil, listed: Int = 0, limit: Int = 2,
        unanswered: Int = 0
    ) -> CrewClaim.Candidate {
        CrewClaim.Candidate(
            crewID: Crew.ID(UUID()), onShift: onShift, skills: skills, districts: districts, job: job, listed: listed,
            listLimit: limit, distance: Metres(metres), unanswered: unanswered)
    }

    static func job(emergency: Bool, _ severity: Severity, _ state: OrderState) -> CrewClaim.Job {
        CrewClaim.Job(orderID: WorkOrder.ID(UUID()), emergency: emergency, severity: severity, state: state)
    }

    @Test("The nearest free crew that may and can takes it")
    func nearest() {
        let near = Self.crew(400)
        let choice = CrewClaim.choose(
            Self.demand(),
            among: [
                Self.crew(900), near, Self.crew(10, onShift: false), Self.crew(20, skills: ["cover"]),
                Self.crew(30, districts: [Self.other]),
                Self.crew(40, job: Self.job(emergency: true, .high, .accepted)),
                Self.crew(50, job: Self.job(emergency: false, .normal, .onSite)),
            ])
        #expect(choice?.crewID == near.crewID)
        #expect(choice?.reason.code == "nearest_free_crew")
        #expect(choice?.displaces == nil)
    }

    @Test("A crew on loan counts as one of the district")
    func loan() {
        let lent = Self.crew(5, districts: [Self.other, Self.district])
        #expect(CrewClaim.choose(Self.demand(), among: [lent])?.crewID == lent.crewID)
    }

    @Test("An emergency takes a crew with unstarted routine work, whose list goes back")
    func displacesList() {
        let choice = CrewClaim.choose(Self.demand(), among: [Self.crew(10, listed: 2)])
        #expect(choice?.clearsList == true)
        #expect(choice?.reason.code == "nearest_displaces_routine")
    }

    @Test("A started job is never displaced", arguments: [OrderState.enRoute, .onSite], [true, false])
    func started(state: OrderState, emergency: Bool) {
        let busy = Self.crew(10, job: Self.job(emergency: emergency, .lowest, state))
        #expect(CrewClaim.choose(Self.demand(severity: .lifeAtRisk), among: [busy]) == nil)
    }

    @Test(
        "An emergency that nobody has left for gives way only to a strictly more severe one",
        arguments: [(Severity.high, Severity.lifeAtRisk, true), (.high, .high, false), (.lifeAtRisk, .high, false)])
    func displaces(held: Severity, wanted: Severity, expected: Bool) {
        let job = Self.job(emergency: true, held, .accepted)
        let choice = CrewClaim.choose(Self.demand(severity: wanted), among: [Self.crew(10, job: job)])
        #expect((choice?.displaces == job.orderID) == expected)
    }

    @Test("A free crew is taken before any is displaced; among those the least severe gives way")
    func order() {
        let free = Self.crew(5_000)
        let light = Self.crew(900, job: Self.job(emergency: true, .normal, .assigned))
        let heavy = Self.crew(10, job: Self.job(emergency: true, .raised, .assigned))
        let demand = Self.demand(severity: .lifeAtRisk)
        #expect(CrewClaim.choose(demand, among: [light, heavy, free])?.crewID == free.crewID)
        #expect(CrewClaim.choose(demand, among: [heavy, light])?.crewID == light.crewID)
    }

    @Test("A crew that declined it is passed over, and one that did not answer comes last")
    func reliability() {
        let declined = Self.crew(5)
        let silent = Self.crew(10, unanswered: 1)
        let far = Self.crew(800)
        let demand = Self.demand(excluded: [declined.crewID])
        #expect(CrewClaim.choose(demand, among: [declined, silent, far])?.crewID == far.crewID)
        #expect(CrewClaim.choose(demand, among: [declined, silent])?.crewID == silent.crewID)
        #expect(CrewClaim.choose(demand, among: [declined]) == nil)
    }

    @Test("Routine work goes into a list with room, beside a started job but not beside an emergency")
    func routine() {
        let demand = Self.demand(emergency: false, severity: .normal)
        #expect(CrewClaim.choose(demand, among: [Self.crew(10, listed: 2)]) == nil)
        #expect(
            CrewClaim.choose(demand, among: [Self.crew(10, job: Self.job(emergency: true, .high, .assigned))]) == nil)
        let working = Self.crew(10, job: Self.job(emergency: false, .normal, .onSite), listed: 1)
        #expect(CrewClaim.choose(demand, among: [working])?.crewID == working.crewID)
        #expect(CrewClaim.choose(demand, among: [working])?.clearsList == false)
    }

    @Test("The queue: emergencies, then verified, severe, old")
    func queue() {
        func row(_ emergency: Bool, _ severity: Severity, _ verified: Bool, _ second: Int) -> QueuePriority {
            QueuePriority(
                emergency: emergency, severity: severity, verified: verified,
                since: Timestamp(microseconds: Int64(second) * 1_000_000), caseID: Case.ID(UUID()))
        }
        let wanted = [
            row(true, .lifeAtRisk, true, 9), row(true, .high, true, 1), row(true, .high, true, 2),
            row(true, .lifeAtRisk, false, 0), row(false, .lifeAtRisk, true, 0), row(false, .normal, true, 0),
        ]
        #expect(wanted.shuffled().sorted() == wanted)
    }

    @Test("An unverified emergency waits 60 s; nothing else waits")
    func verification() {
        let now = Timestamp(microseconds: 0)
        let held = QueuePriority.eligibleFrom(emergency: true, verified: false, queuedAt: now)
        #expect(held.at == now + .seconds(60))
        #expect(held.why?.code == "waits_for_verification")
        #expect(QueuePriority.eligibleFrom(emergency: true, verified: true, queuedAt: now).at == now)
        #expect(QueuePriority.eligibleFrom(emergency: false, verified: false, queuedAt: now).at == now)
    }
}
