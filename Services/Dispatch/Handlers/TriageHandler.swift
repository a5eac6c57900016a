import FoundationEssentials
import Logging
import Model
import Outbox
import Postgres
import Rules

/// Acts on what intake and notification announce: files each report under a case, and shows notices on the live stream.
/// The same handler serves both lanes; a routine batch folds its reports one after the other over one look.
struct TriageHandler: DecisionHandler {
    struct Plan: Sendable {
        var reports: [EventRecord.ID: ReportSnapshot] = [:]
        var terms: [EventRecord.ID: CategoryTerms] = [:]
    }

    let categories: CategoryCache
    let sources: Sources
    /// Told after each commit that cases wait for a crew, and that there is something to show.
    let claims: Wakes
    let live: Wake
    let meter: LaneMeter
    let lane: Lane

    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Plan) {
        var plan = Plan()
        var locks: [AdvisoryLock] = []
        // Each cell with what of it the reports' circles cover.
        var cells: [GroupedCell: PlaceBox] = [:]
        var districts: Set<District.ID> = []
        for event in events where event.type == .reportReceived {
            let report = try event.body(as: ReportSnapshot.self)
            guard report.place.isOnEarth else { throw Poison("the report's place is not on earth") }
            let terms = try terms(for: report, sentAt: event.time)
            plan.reports[event.id] = report
            plan.terms[event.id] = terms
            districts.insert(report.districtID)
            let box = PlaceBox(around: report.place, radius: terms.mergeRadius)
            for cell in Cell.touched(by: report.place, radius: terms.mergeRadius) {
                let grouped = GroupedCell(group: terms.group, cell: cell)
                if cells[grouped]?.formUnion(box) == nil {
                    cells[grouped] = box
                    locks.append(.cell(x: Int(cell.x), y: Int(cell.y), group: terms.group))
                }
            }
        }
        guard !plan.reports.isEmpty else { return ([], [], plan) }
        let places = cells.sorted { $0.key < $1.key }
            .map { (group: $0.key.group, cell: $0.key.cell, box: $0.value) }
        var look = [
            ReportStateStore.decided(plan.reports.values.map(\.reportID).sorted()),
            CategoryStore.stormLevels(districts.sorted()),
            CaseStore.neighbours(places),
        ]
        // Only an emergency can raise a case, and only then its order matters.
        if plan.reports.values.contains(where: \.emergency) { look.append(OrderStore.openOrders(near: places)) }
        return (locks, look, plan)
    }

    func decide(
        _ events: [Event], plan: Plan, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) {
        var changes = Changes(sources: sources, now: now, actor: "rule:triage")
        if rows.count >= 3 {
            var fold = TriageFold(
                known: try rows[2].map { try CaseRecord($0) },
                orders: rows.count > 3 ? try rows[3].map { try OrderRecord($0) } : [],
                storm: Dictionary(
                    try rows[1].map { (try $0.decode("district_id", as: District.ID.self), try $0.decode("level")) },
                    uniquingKeysWith: { first, _ in first }),
                categories: categories.current.terms, sources: sources, now: now)
            var decided = Set(try rows[0].column(Report.ID.self))
            for event in events {
                guard let report = plan.reports[event.id], let terms = plan.terms[event.id],
                    decided.insert(report.reportID).inserted
                else { continue }
                fold.file(report, terms: terms, event: event, into: &changes)
            }
            try fold.finish(into: &changes)
        }
        for event in events where event.type.aggregate == "notice" && !event.canary { try changes.show(event) }
        return (try changes.writes(), changes.announcements)
    }

    func committed(_ events: [Event], announcements: [Announcement]) async {
        if !announcements.isEmpty { claims.signal() }
        live.signal()
        guard lane == .emergency else { return }
        let now = sources.now()
        for event in events where event.type == .reportReceived {
            meter.record(filed: now - event.time, canary: event.canary)
        }
    }

    /// A category that is not known here is either so new that it has not been read yet, or nonsense.
    private func terms(for report: ReportSnapshot, sentAt: Timestamp) throws -> CategoryTerms {
        let content = categories.current
        if let terms = content.terms[report.category] { return terms }
        guard let readAt = content.readAt, readAt > sentAt + .seconds(15) else { throw CategoriesNotReady() }
        throw Poison("the category is unknown")
    }

    private struct GroupedCell: Hashable, Comparable {
        var group: String
        var cell: Cell

        static func < (a: Self, b: Self) -> Bool { (a.group, a.cell) < (b.group, b.cell) }
    }
}

/// Passes by itself: the message is tried again.
struct CategoriesNotReady: Error, CustomStringConvertible {
    var description: String { "the categories have not been read since the report was sent" }
}
