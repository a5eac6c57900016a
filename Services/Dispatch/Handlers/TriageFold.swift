import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// Folds the triage rule over the reports of one transaction: a case that the first report opens is there for the
/// second. Each case is written once, whatever the number of reports that join it.
struct TriageFold {
    private struct Entry {
        /// As it was read; nil if this transaction opens it.
        var old: CaseRecord?
        var record: CaseRecord
        var cause: Changes.Cause = .none
        var queue: Queue = .unchanged
    }

    private enum Queue {
        case unchanged
        /// Severity or verification of a case that may wait has changed.
        case raised(Severity?, verifies: Bool)
        case needsCrew
    }

    private var entries: [Case.ID: Entry] = [:]
    /// By the number of the cell: a report is compared with those of the cells that its circle touches.
    private var byCell: [Int64: [Case.ID]] = [:]
    /// In the order in which they were first touched.
    private var touched: [Case.ID] = []
    private let orders: [Case.ID: OrderRecord]
    private let storm: [District.ID: StormLevel]
    private let categories: [String: CategoryTerms]
    private let sources: Sources
    private let now: Timestamp

    init(
        known: [CaseRecord], orders: [OrderRecord], storm: [District.ID: StormLevel],
        categories: [String: CategoryTerms], sources: Sources, now: Timestamp
    ) {
        for record in known where entries[record.caseID] == nil {
            entries[record.caseID] = Entry(old: record, record: record)
            byCell[record.cell, default: []].append(record.caseID)
        }
        self.orders = Dictionary(orders.map { ($0.caseID, $0) }) { first, _ in first }
        self.storm = storm
        self.categories = categories
        self.sources = sources
        self.now = now
    }

    mutating func file(_ report: ReportSnapshot, terms: CategoryTerms, event: Event, into changes: inout Changes) {
        // The canary's rounds are alone: each runs the whole path and touches nobody's case.
        let sites = event.canary ? [] : sites(near: report.place, radius: terms.mergeRadius)
        let decision = Triage.decide(report, terms: terms, sites: sites)
        let caseID: Case.ID
        switch decision.outcome {
        case .noCase:
            changes.reports.append(
                ReportStateRecord(
                    report, outcome: .rejected, caseID: nil, reason: decision.reason.code, decidedAt: now))
            return
        case .joins(let id, let change):
            caseID = id
            join(id, report, change, reason: decision.reason, cause: Changes.Cause(event))
        case .opens(let perhapsSame, let perhapsAgain):
            caseID = Case.ID(sources.randomUUID(now))
            var record = newCase(caseID, report, terms: terms, canary: event.canary)
            record.perhapsSame = perhapsSame
            record.perhapsAgain = perhapsAgain
            record.reason = decision.reason
            entries[caseID] = Entry(
                old: nil, record: record, cause: Changes.Cause(event), queue: .needsCrew)
            byCell[record.cell, default: []].append(caseID)
            touched.append(caseID)
        }
        changes.reports.append(
            ReportStateRecord(report, outcome: .case, caseID: caseID, reason: decision.reason.code, decidedAt: now))
        if let record = entries[caseID]?.record {
            changes.decide(
                .triage, decision.outcome.word, decision.reason, about: record, report: report.reportID,
                inputs: inputs(report, terms, decision), ruleVersion: Triage.ruleVersion)
        }
    }

    private func sites(near place: Coordinate, radius: Metres) -> [Triage.Site] {
        Cell.touched(by: place, radius: radius).flatMap { cell in
            (byCell[cell.number] ?? []).compactMap { id in
                entries[id].flatMap { $0.record.canary ? nil : $0.record.site }
            }
        }
    }

    private mutating func join(
        _ id: Case.ID, _ report: ReportSnapshot, _ change: Triage.Change, reason: Reason, cause: Changes.Cause
    ) {
        guard var entry = entries[id] else { return }
        if entry.old != nil, !touched.contains(id) {
            touched.append(id)
            entry.cause = cause
        }
        entry.record.reportCount += 1
        entry.record.lastReportAt = max(entry.record.lastReportAt, report.receivedAt)
        entry.record.personAtRisk = entry.record.personAtRisk || report.personAtRisk
        entry.record.reason = reason
        if let device = report.deviceHash, entry.record.devices.count < 8, !entry.record.devices.contains(device) {
            entry.record.devices.append(device)
        }
        if let severity = change.severity { entry.record.severity = severity }
        if change.verifies { entry.record.verified = true }
        if change.unverifies { entry.record.verified = false }
        if change.raisesToEmergency {
            entry.record.emergency = true
            entry.queue = .needsCrew
        } else if change.severity != nil || change.verifies, case .unchanged = entry.queue {
            entry.queue = .raised(change.severity, verifies: change.verifies)
        }
        entries[id] = entry
    }

    private func newCase(
        _ id: Case.ID, _ report: ReportSnapshot, terms: CategoryTerms, canary: Bool
    ) -> CaseRecord {
        let level = storm[report.districtID] ?? .none
        let due = CaseClocks.due(openedAt: report.receivedAt, terms: terms, storm: level)
        return CaseRecord(
            caseID: id, districtID: report.districtID, responsibleDistrictID: report.districtID,
            streetID: report.streetID, gridID: report.gridID, communityID: report.communityID,
            facilityID: report.facilityID, kind: report.kind, category: report.category,
            categoryVersion: terms.version, categoryGroup: terms.group, emergency: report.emergency,
            verified: report.verified, personAtRisk: report.personAtRisk, severity: report.severity,
            // 受理 and 立案 fall together: the report was accepted, and triage found a problem of its own.
            state: .filed, lon: report.place.lon, lat: report.place.lat, cell: Cell(of: report.place).number,
            openedAt: report.receivedAt, lastReportAt: report.receivedAt, respondDue: due[.respond],
            arriveDue: due[.arrive], resolveDue: due[.resolve], clockLevel: level, pausedSeconds: 0, reportCount: 1,
            devices: report.deviceHash.map { [$0] } ?? [], reasonCode: "", reasonZH: "", reasonEN: "", canary: canary,
            version: 1)
    }

    // MARK: - Writing

    func finish(into changes: inout Changes) throws {
        for id in touched {
            guard let entry = entries[id] else { continue }
            guard let old = entry.old else {
                try changes.open(entry.record, cause: entry.cause)
                changes.queued.append(queueRecord(entry.record))
                continue
            }
            var record = entry.record
            switch entry.queue {
            case .unchanged: break
            case .raised(let severity, let verifies):
                changes.queueUpdates.append(QueueStore.raise(id, severity: severity, verifies: verifies, now: now))
            case .needsCrew:
                try raise(&record, cause: entry.cause, into: &changes)
            }
            try changes.change(record, from: old, cause: entry.cause)
        }
    }

    /// A routine case has become an emergency. A crew that has started keeps it; an order that waits in a crew's list
    /// is taken back, and the case claims the nearest crew.
    private func raise(_ record: inout CaseRecord, cause: Changes.Cause, into changes: inout Changes) throws {
        guard let order = orders[record.caseID] else {
            if record.needsCrew { changes.queued.append(queueRecord(record)) }
            return
        }
        if order.state.isStarted {
            var raised = order
            raised.emergency = true
            raised.severity = record.severity
            try changes.change(raised, from: order, responsible: record.responsibleDistrictID, cause: cause)
            changes.slots.append(CrewStore.raiseActive(raised))
        } else {
            try Releases.withdraw(order, of: &record, reason: Releases.raised, now: now, cause: cause, into: &changes)
            changes.slots.append(CrewStore.unlist(order.crewID))
            changes.queued.append(queueRecord(record))
        }
    }

    private func queueRecord(_ record: CaseRecord) -> QueueRecord {
        QueueRecord(record, skills: categories[record.category]?.skills ?? [], now: now)
    }

    private func inputs(
        _ report: ReportSnapshot, _ terms: CategoryTerms, _ decision: Triage.Decision
    ) -> [String: JSONValue] {
        var inputs: [String: JSONValue] = [
            "category": .string(terms.code), "category_version": .integer(Int64(terms.version)),
            "group": .string(terms.group), "radius_m": .number(terms.mergeRadius.rawValue),
            "window_min": .integer(Int64(terms.mergeWindowMinutes)), "emergency": .bool(report.emergency),
            "severity": .integer(Int64(report.severity.rawValue)), "verified": .bool(report.verified),
            "person_at_risk": .bool(report.personAtRisk),
        ]
        if let distance = decision.distance { inputs["distance_m"] = .number(distance.rawValue.rounded()) }
        if case .opens(let same, let again) = decision.outcome {
            if let same { inputs["perhaps_same"] = same.json }
            if let again { inputs["perhaps_again"] = again.json }
        }
        return inputs
    }
}

extension Triage.Outcome {
    var word: String {
        switch self {
        case .joins(_, let change): change.raisesToEmergency ? "raised_and_joined" : "joined"
        case .opens: "opened"
        case .noCase: "no_case"
        }
    }
}
