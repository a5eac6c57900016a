import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// What one transaction writes and announces, put in the order in which every transaction of dispatch takes its locks:
/// claim queue, crew slots, cases, orders, and then what nobody else waits for.
struct Changes {
    /// Which event, or which request, led to the change.
    struct Cause: Sendable {
        var eventID: EventRecord.ID?
        var traceparent: String?

        static let none = Cause()

        init(eventID: EventRecord.ID? = nil, traceparent: String? = nil) {
            self.eventID = eventID
            self.traceparent = traceparent
        }

        init(_ event: Event) { self.init(eventID: event.id, traceparent: event.traceparent) }
    }

    let sources: Sources
    let now: Timestamp
    /// An account, `system`, or the name of a rule.
    let actor: String

    var queued: [QueueRecord] = []
    var unqueued: [Case.ID] = []
    var queueUpdates: [SQL] = []
    var slots: [SQL] = []
    private var insertedCases: [CaseRecord] = []
    private var updatedCases: [CaseRecord] = []
    private var insertedOrders: [OrderRecord] = []
    private var updatedOrders: [OrderRecord] = []
    var periods: [SQL] = []
    var reports: [ReportStateRecord] = []
    var decisions: [DecisionRecord] = []
    var others: [SQL] = []
    private var live: [LiveRecord] = []
    private(set) var announcements: [Announcement] = []

    init(sources: Sources, now: Timestamp, actor: String = "system") {
        self.sources = sources
        self.now = now
        self.actor = actor
    }

    // MARK: - Cases

    mutating func open(_ record: CaseRecord, cause: Cause = .none) throws {
        insertedCases.append(record)
        try announce(record, .caseOpened, wasEmergency: false, cause: cause)
    }

    /// - Parameter record: as it becomes; its version is counted up here.
    mutating func change(
        _ record: CaseRecord, from old: CaseRecord, as type: EventType = .caseChanged, cause: Cause = .none,
        observedAt: Timestamp? = nil
    ) throws {
        var record = record
        record.version = old.version + 1
        updatedCases.append(record)
        try announce(record, type, wasEmergency: old.emergency, cause: cause, observedAt: observedAt)
    }

    private mutating func announce(
        _ record: CaseRecord, _ type: EventType, wasEmergency: Bool, cause: Cause, observedAt: Timestamp? = nil
    ) throws {
        try announce(
            type, aggregate: record.caseID.rawValue, version: record.version, district: record.districtID,
            responsible: record.responsibleDistrictID,
            // The event in which a case stops being an emergency still goes by the fast lane.
            lane: record.emergency || wasEmergency || record.canary ? .emergency : .routine, canary: record.canary,
            data: try JSONBytes.encode(record.snapshot), cause: cause, observedAt: observedAt)
    }

    // MARK: - Orders

    mutating func assign(_ order: OrderRecord, responsible: District.ID, cause: Cause = .none) throws {
        insertedOrders.append(order)
        try announce(order, .orderAssigned, responsible: responsible, cause: cause)
    }

    mutating func change(
        _ order: OrderRecord, from old: OrderRecord, responsible: District.ID, cause: Cause = .none,
        observedAt: Timestamp? = nil
    ) throws {
        var order = order
        order.version = old.version + 1
        updatedOrders.append(order)
        let type: EventType =
            switch order.state {
            case .done: .orderCompleted
            case .declined, .withdrawn, .silent: .orderReleased
            default: .orderChanged
            }
        try announce(order, type, responsible: responsible, cause: cause, observedAt: observedAt)
    }

    private mutating func announce(
        _ order: OrderRecord, _ type: EventType, responsible: District.ID, cause: Cause,
        observedAt: Timestamp? = nil
    ) throws {
        try announce(
            type, aggregate: order.orderID.rawValue, version: order.version, district: order.districtID,
            responsible: responsible, lane: order.emergency || order.canary ? .emergency : .routine,
            canary: order.canary, data: try JSONBytes.encode(order.snapshot), cause: cause,
            observedAt: observedAt)
    }

    // MARK: - Anything else that is announced

    mutating func announce(
        _ type: EventType, aggregate: UUID, version: Int, district: District.ID, responsible: District.ID, lane: Lane,
        canary: Bool = false, data: [UInt8], cause: Cause = .none, observedAt: Timestamp? = nil
    ) throws {
        let event = Event(
            id: EventRecord.ID(sources.randomUUID(now)), source: .dispatch, type: type, time: now, district: district,
            aggregateID: aggregate, aggregateVersion: version, lane: lane, canary: canary, causationID: cause.eventID,
            traceparent: cause.traceparent, data: data)
        announcements.append(Announcement(event: event, actor: actor, observedAt: observedAt))
        if !canary {
            live.append(
                LiveRecord(
                    id: event.id, districtID: district, responsibleDistrictID: responsible, at: now,
                    kind: type.rawValue))
        }
    }

    /// What another service said, for the live stream; it keeps the event's own id.
    mutating func show(_ event: Event) throws {
        live.append(
            LiveRecord(
                id: event.id, districtID: event.district, responsibleDistrictID: event.district, at: event.time,
                kind: event.type.rawValue, body: try event.body(as: JSONValue.self)))
    }

    // MARK: - Why

    mutating func decide(
        _ kind: DecisionRecord.Kind, _ what: String, _ reason: Reason, about record: CaseRecord,
        order: WorkOrder.ID? = nil, report: Report.ID? = nil, inputs: [String: JSONValue], ruleVersion: Int
    ) {
        decisions.append(
            DecisionRecord(
                decisionID: sources.randomUUID(now), districtID: record.districtID, caseID: record.caseID,
                orderID: order, reportID: report, kind: kind, what: what, reason: reason, inputs: inputs,
                ruleVersion: ruleVersion, actor: actor, decidedAt: now))
    }

    // MARK: - The trip

    /// All statements but the announcements'.
    func writes() throws -> [SQL] {
        var statements = queueUpdates
        if !unqueued.isEmpty { statements.append(QueueStore.remove(unqueued.sorted())) }
        let opened = Set(insertedCases.map(\.caseID))
        statements += try QueueStore.add(queued.filter { opened.contains($0.caseID) })
        statements += try QueueStore.put(queued.filter { !opened.contains($0.caseID) })
        statements += slots
        statements += try CaseStore.insert(insertedCases)
        statements += try CaseStore.update(updatedCases)
        // A case has one open order: the old one ends before the new one begins.
        statements += try OrderStore.update(updatedOrders)
        statements += try OrderStore.insert(insertedOrders)
        statements += periods
        statements += try DueStore.set(insertedCases + updatedCases)
        statements += try ReportStateStore.insert(reports)
        statements += try DecisionStore.insert(decisions)
        statements += try LiveStore.insert(live)
        return statements + others
    }

    /// The cases as they are written, by id.
    var cases: [Case.ID: CaseRecord] {
        Dictionary((insertedCases + updatedCases).map { ($0.caseID, $0) }) { _, last in last }
    }
}
