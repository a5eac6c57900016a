public import Model

/// Which crew takes a case: the nearest free one that may and can; if none is free, one whose present job gives way.
public enum CrewClaim {
    public static let ruleVersion = 1

    /// A case that waits for a crew.
    public struct Demand: Hashable, Sendable {
        public var caseID: Case.ID
        public var districtID: District.ID
        public var emergency: Bool
        public var severity: Severity
        public var skills: Set<String>
        /// Crews that declined it, or that it was taken from.
        public var excluded: Set<Crew.ID>

        public init(
            caseID: Case.ID, districtID: District.ID, emergency: Bool, severity: Severity, skills: Set<String> = [],
            excluded: Set<Crew.ID> = []
        ) {
            self.caseID = caseID
            self.districtID = districtID
            self.emergency = emergency
            self.severity = severity
            self.skills = skills
            self.excluded = excluded
        }
    }

    /// The job that binds a crew now: an emergency that it was given, or anything that it has started.
    public struct Job: Hashable, Sendable {
        public var orderID: WorkOrder.ID
        public var emergency: Bool
        public var severity: Severity
        public var state: OrderState

        public init(orderID: WorkOrder.ID, emergency: Bool, severity: Severity, state: OrderState) {
            self.orderID = orderID
            self.emergency = emergency
            self.severity = severity
            self.state = state
        }
    }

    public struct Candidate: Hashable, Sendable {
        public var crewID: Crew.ID
        public var onShift: Bool
        public var skills: Set<String>
        /// Home district and running loans.
        public var districts: Set<District.ID>
        public var job: Job?
        /// Unstarted routine orders in its list, and how many it may hold.
        public var listed: Int
        public var listLimit: Int
        public var distance: Metres
        /// Emergencies in a row that it did not answer: such a crew is the last to be asked.
        public var unanswered: Int

        public init(
            crewID: Crew.ID, onShift: Bool, skills: Set<String>, districts: Set<District.ID>, job: Job? = nil,
            listed: Int = 0, listLimit: Int = 1, distance: Metres,
            unanswered: Int = 0
        ) {
            self.crewID = crewID
            self.onShift = onShift
            self.skills = skills
            self.districts = districts
            self.job = job
            self.listed = listed
            self.listLimit = listLimit
            self.distance = distance
            self.unanswered = unanswered
        }
    }

    public enum Fit: Hashable, Sendable {
        case free
        /// Takes the emergency; this less severe one, not yet on its way, goes back to the queue.
        case displaces(WorkOrder.ID)
        case unfit(Reason)
    }

    public struct Choice: Hashable, Sendable {
        public var crewID: Crew.ID
        public var displaces: WorkOrder.ID?
        /// Its unstarted routine orders go back to the queue too.
        public var clearsList: Bool
        public var distance: Metres
        public var reason: Reason
    }

    /// Whether this crew could take it now, under the lock of its slot or before.
    public static func fit(_ crew: Candidate, for demand: Demand) -> Fit {
        guard crew.onShift else { return .unfit(Reason("off_shift", zh: "不在班", en: "Not on shift.")) }
        guard !demand.excluded.contains(crew.crewID) else {
            return .unfit(Reason("declined_before", zh: "已退回或已收回", en: "Declined it, or it was taken from them."))
        }
        guard crew.districts.contains(demand.districtID) else {
            return .unfit(Reason("other_district", zh: "不属于该区且未借调", en: "Neither of this district nor lent to it."))
        }
        guard demand.skills.isSubset(of: crew.skills) else {
            return .unfit(Reason("lacks_skills", zh: "缺少所需技能", en: "Lacks a skill that the work needs."))
        }
        guard demand.emergency else {
            if let job = crew.job, job.emergency {
                return .unfit(Reason("on_emergency", zh: "正在处理紧急案件", en: "Has an emergency."))
            }
            return crew.listed < crew.listLimit
                ? .free : .unfit(Reason("list_full", zh: "待办列表已满", en: "Its list is full."))
        }
        guard let job = crew.job else { return .free }
        if job.state.isStarted {
            return .unfit(Reason("has_started", zh: "已开始另一项作业", en: "Has started another job."))
        }
        return job.emergency && job.severity < demand.severity
            ? .displaces(job.orderID)
            : .unfit(Reason("has_emergency", zh: "已有同级或更重的紧急案件", en: "Has an emergency as severe or worse."))
    }

    /// Candidates may come in any order. Nil: none can, so the case stays in the queue.
    public static func choose(_ demand: Demand, among crews: [Candidate]) -> Choice? {
        let fits = crews.map { (crew: $0, fit: fit($0, for: demand)) }
        let free = fits.filter { $0.fit == .free }.map(\.crew).min(by: nearer)
        if let free {
            let metres = Int(free.distance.rawValue.rounded())
            let clears = demand.emergency && free.listed > 0
            return Choice(
                crewID: free.crewID, displaces: nil, clearsList: clears, distance: free.distance,
                reason: clears
                    ? Reason(
                        "nearest_displaces_routine", zh: "距离最近（\(metres) 米）的可用班组；其未开始的日常工单退回队列",
                        en: "The nearest crew (\(metres) m); its unstarted routine work goes back to the queue.")
                    : Reason(
                        "nearest_free_crew", zh: "距离最近（\(metres) 米）的空闲班组",
                        en: "The nearest free crew (\(metres) m)."))
        }
        // The least severe job gives way first, then the nearest.
        let displaced =
            fits
            .compactMap { item -> (crew: Candidate, order: WorkOrder.ID, severity: Severity)? in
                guard case .displaces(let order) = item.fit, let job = item.crew.job else { return nil }
                return (item.crew, order, job.severity)
            }
            .min {
                ($0.severity.rawValue, $0.crew.distance.rawValue) < ($1.severity.rawValue, $1.crew.distance.rawValue)
            }
        return displaced.map { item in
            let metres = Int(item.crew.distance.rawValue.rounded())
            return Choice(
                crewID: item.crew.crewID, displaces: item.order, clearsList: item.crew.listed > 0,
                distance: item.crew.distance,
                reason: Reason(
                    "displaces_less_severe", zh: "无空闲班组；该班组（\(metres) 米）尚未出发的较轻紧急案件让位",
                    en: "No crew is free; this one (\(metres) m) had not yet left for a less severe emergency."))
        }
    }

    private static func nearer(_ a: Candidate, _ b: Candidate) -> Bool {
        (a.unanswered, a.distance.rawValue, a.crewID) < (b.unanswered, b.distance.rawValue, b.crewID)
    }
}
