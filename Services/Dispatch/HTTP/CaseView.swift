import Model
import Rules
import ServiceKit

/// A case as the API shows it, at a moment.
struct CaseView: Presentable {
    var record: CaseRecord
    var now: Timestamp

    static let reasonSchema = Schema.object([
        Schema.Field("code", .string()), Schema.Field("zh", .string()), Schema.Field("en", .string()),
    ])

    static let shown: [ShownField<CaseView>] = [
        .init("case_id", .uuid) { $0.record.caseID },
        .init("number", .nullable(.integer()), "What people call it by.") { $0.record.number },
        .init("version", .integer(minimum: 1)) { $0.record.version },
        .init("district_id", .uuid) { $0.record.districtID },
        .init("responsible_district_id", .uuid) { $0.record.responsibleDistrictID },
        .init("street_id", .nullable(.uuid)) { $0.record.streetID },
        .init("grid_id", .nullable(.uuid)) { $0.record.gridID },
        .init("community_id", .nullable(.uuid)) { $0.record.communityID },
        .init("facility_id", .nullable(.uuid)) { $0.record.facilityID },
        .init("category", .string()) { $0.record.category },
        .init("category_version", .integer()) { $0.record.categoryVersion },
        .init("kind", .word(ReportKind.self)) { $0.record.kind },
        .init("emergency", .boolean) { $0.record.emergency },
        .init("verified", .boolean) { $0.record.verified },
        .init("person_at_risk", .boolean) { $0.record.personAtRisk },
        .init("severity", .integer(1...5)) { $0.record.severity },
        .init("state", .word(CaseState.self)) { $0.record.state },
        .init("lon", .number(-180...180)) { $0.record.lon },
        .init("lat", .number(-90...90)) { $0.record.lat },
        .init("opened_at", .time) { $0.record.openedAt },
        .init("last_report_at", .time) { $0.record.lastReportAt },
        .init("respond_due", .nullable(.time)) { $0.record.respondDue },
        .init("arrive_due", .nullable(.time)) { $0.record.arriveDue },
        .init("resolve_due", .nullable(.time)) { $0.record.resolveDue },
        .init("clock_level", .word(StormLevel.self), "The storm level that the clocks were set by.") {
            $0.record.clockLevel
        },
        .init("responded_at", .nullable(.time)) { $0.record.respondedAt },
        .init("arrived_at", .nullable(.time)) { $0.record.arrivedAt },
        .init("resolved_at", .nullable(.time)) { $0.record.resolvedAt },
        .init("closed_at", .nullable(.time)) { $0.record.closedAt },
        .init("suspended_at", .nullable(.time)) { $0.record.suspendedAt },
        .init("paused_seconds", .integer(minimum: 0)) { $0.record.pausedSeconds },
        .init("overdue", .array(of: .word(CaseClocks.Clock.self)), "Clocks that have run out unmet.") { $0.overdue },
        .init("timeliness", .word(Timeliness.self)) { Timeliness($0.record.times, now: $0.now) },
        .init("merged_into", .nullable(.uuid)) { $0.record.mergedInto },
        .init("perhaps_same", .nullable(.uuid), "An open case that may be the same problem.") {
            $0.record.perhapsSame
        },
        .init("perhaps_again", .nullable(.uuid), "A closed case that may have come back.") { $0.record.perhapsAgain },
        .init("crew_id", .nullable(.uuid)) { $0.record.crewID },
        .init("order_id", .nullable(.uuid)) { $0.record.orderID },
        .init("report_count", .integer(minimum: 0)) { $0.record.reportCount },
        .init("reason", reasonSchema, "Why it was last changed.") { $0.record.reason },
    ]

    private var overdue: [CaseClocks.Clock] {
        record.nextDue == nil ? [] : CaseClocks.overdue(record.times, now: now)
    }
}

/// A work order as the API shows it.
struct OrderView: Presentable {
    var record: OrderRecord

    static let shown: [ShownField<OrderView>] = [
        .init("order_id", .uuid) { $0.record.orderID },
        .init("case_id", .uuid) { $0.record.caseID },
        .init("version", .integer(minimum: 1)) { $0.record.version },
        .init("district_id", .uuid) { $0.record.districtID },
        .init("street_id", .nullable(.uuid)) { $0.record.streetID },
        .init("crew_id", .uuid) { $0.record.crewID },
        .init("crew_name", .string()) { $0.record.crewName },
        .init("emergency", .boolean) { $0.record.emergency },
        .init("severity", .integer(1...5)) { $0.record.severity },
        .init("state", .word(OrderState.self)) { $0.record.state },
        .init("assigned_at", .time) { $0.record.assignedAt },
        .init("accepted_at", .nullable(.time)) { $0.record.acceptedAt },
        .init("en_route_at", .nullable(.time)) { $0.record.enRouteAt },
        .init("on_site_at", .nullable(.time)) { $0.record.onSiteAt },
        .init("done_at", .nullable(.time)) { $0.record.doneAt },
        .init("released_at", .nullable(.time)) { $0.record.releasedAt },
        .init("assigned_by", .string(), "An account, or the rule that chose.") { $0.record.assignedBy },
        .init("reason", CaseView.reasonSchema) { $0.record.reason },
        .init("notes", .nullable(.string())) { $0.record.notes },
    ]
}
