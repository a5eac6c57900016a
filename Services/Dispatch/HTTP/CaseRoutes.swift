import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// `/v1/cases`: the list, one case with all that is known of it, and all of its reports.
struct CaseRoutes: Sendable {
    let desk: Desk

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, CaseDescriptions.list) { request, context in try await list(request, context) }
        router.add(&document, CaseDescriptions.one) { _, context in try await one(context) }
        router.add(&document, CaseDescriptions.reports) { request, context in try await reports(request, context) }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        let page = try request.page("cases", .time, .id)
        let query = try request.query()
        var filter = CaseFilter(districts: viewer.districts, crew: viewer.crew, limit: page.rowsToRead)
        if let district = try query.id("district", District.self) {
            if viewer.crew == nil { try context.requireDistrict(district) }
            filter.districts = [district.rawValue]
        }
        filter.states = try query.words("state", CaseState.self)
        filter.emergency = try query.bool("emergency")
        filter.street = try query.id("street", Street.self)
        filter.community = try query.id("community", Community.self)
        filter.category = try query.text("category", 1...48)
        filter.overdue = try query.bool("overdue")
        filter.since = try query.time("since")
        if let crew = try query.id("crew", Crew.self), viewer.crew == nil { filter.crew = crew }
        if let text = try query.text("bbox", 7...120) { filter.box = try Self.box(text) }
        if let cursor = page.cursor { filter.after = (cursor.time(0), cursor.id(1)) }

        let now = desk.sources.now()
        let rows = try await desk.database.query(CaseStore.list(filter, now: now), scope: viewer.scope)
        let cases = try rows.map { CaseView(record: try CaseRecord($0), now: now) }
        return try .json(
            .ok,
            Page(cases.map { Presented($0) }, limit: page.limit) { shown in
                Cursor("cases", .time(shown.value.record.openedAt), .id(shown.value.record.caseID))
            })
    }

    private func one(_ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        let caseID = try context.pathID("id", Case.self)
        let parts = CaseDetail.parts(caseID, crew: viewer.crew)
        let rows = try await desk.database.segment(
            [CaseStore.read([caseID])] + parts.map(\.statement), scope: viewer.scope)
        guard let record = try rows[0].first.map({ try CaseRecord($0) }), record.districtID != District.city else {
            throw Problem.notFound("The case", zh: "案件")
        }
        let now = desk.sources.now()
        let head = try JSONEncoder().encode(Presented(CaseView(record: record, now: now)))
        var text = String(decoding: head.dropLast(), as: UTF8.self)
        for (part, answer) in zip(parts, rows.dropFirst()) {
            let (list, total) = try answer[0].decode((String, Int).self)
            // A crew sees the cases that it has, or had, an order for.
            if part.name == "orders", viewer.crew != nil, total == 0 { throw Problem.notFound("The case", zh: "案件") }
            text += ",\"\(part.name)\":\(list),\"\(part.name)_total\":\(total)"
        }
        text += "}"
        var headers = HTTPFields.version(record.version)
        headers[.contentType] = "application/json; charset=utf-8"
        return StoredResponse(.ok, headers: headers, body: Array(text.utf8)).response
    }

    private func reports(_ request: Request, _ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        let caseID = try context.pathID("id", Case.self)
        let page = try request.page("case_reports", .time, .id)
        let after = page.cursor.map { (receivedAt: $0.time(0), reportID: $0.id(1)) }
        let answers = try await desk.database.segment(
            [
                CaseReports.isSeen(caseID, crew: viewer.crew),
                CaseReports.page(caseID, after: after, limit: page.rowsToRead),
            ], scope: viewer.scope)
        guard !answers[0].isEmpty else { throw Problem.notFound("The case", zh: "案件") }
        let rows = answers[1]
        let items = try rows.prefix(page.limit).map { row in
            try row.decode("item", as: JSONB.self).decode(JSONValue.self)
        }
        let last = rows.count > page.limit ? rows[page.limit - 1] : nil
        let next = try last.map { row in
            Cursor(
                "case_reports", .time(try row.decode("received_at", as: Timestamp.self)),
                .id(try row.decode("report_id", as: UUID.self)))
        }
        return try .json(.ok, Page(items: items, next: next))
    }

    private static func box(_ text: String) throws(Problem) -> (
        west: Double, south: Double, east: Double, north: Double
    ) {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) ?? .nan }
        guard numbers.count == 4, numbers.allSatisfy(\.isFinite), numbers[0] <= numbers[2], numbers[1] <= numbers[3],
            abs(numbers[0]) <= 180, abs(numbers[2]) <= 180, abs(numbers[1]) <= 90, abs(numbers[3]) <= 90
        else {
            throw .invalid(
                "bbox", code: "form", "west,south,east,north in degrees is wanted.", zh: "应为 west,south,east,north（度）。")
        }
        return (numbers[0], numbers[1], numbers[2], numbers[3])
    }
}

enum CaseDescriptions {
    static let list = Operation(
        .get, "/v1/cases", "Cases, the newest first", access: .look,
        description: "A crew sees the cases of its own orders.",
        parameters: [
            .query("state", .string(), "One or more states, with commas between them."),
            .query("emergency", .boolean), .query("district", .uuid), .query("street", .uuid),
            .query("community", .uuid), .query("category", .text(1...48)),
            .query("overdue", .boolean, "A clock has run out unmet."),
            .query("since", .time, "Opened at or after this time."), .query("crew", .uuid),
            .query("bbox", .text(7...120), "west,south,east,north in degrees."),
        ],
        answers: [.ok(.page(of: .reference("Case")))], paged: true)

    static let one = Operation(
        .get, "/v1/cases/{id}", "One case with its reports, photos, orders, notices and the reason of every decision",
        access: .look,
        description: """
            Each list ends at some hundred entries, with the number of all beside it (`reports_total`, …). All reports: \
            `/v1/cases/{id}/reports`.
            """, answers: [.ok(.reference("CaseDetail"), versioned: true)])

    static let reports = Operation(
        .get, "/v1/cases/{id}/reports", "All reports of a case with their photos, the first received first",
        access: .look, description: "A crew sees those of the cases that it has, or had, an order for.",
        answers: [.ok(.page(of: .reference("CaseReport")))], paged: true)

    static func define(in document: inout OpenAPIDocument) {
        document.define("Case", CaseView.schema)
        document.define("Order", OrderView.schema)
        let reason = CaseView.reasonSchema
        let parts: [Schema.Field] = [
            part("reports", report), part("photos", [("report_id", Schema.uuid)] + photo),
            part("orders", [("order_id", .uuid), ("crew_id", .uuid), ("state", .word(OrderState.self))]),
            part(
                "steps",
                [
                    ("step_id", .uuid), ("kind", .word(ObservedStep.Kind.self)), ("observed_at", .time),
                    ("received_at", .time), ("counted_at", .time), ("counted", .word(ObservedTime.Counted.self)),
                    ("outcome", .word(StepResult.Outcome.self)), ("reason", reason),
                ]),
            part(
                "order_photos",
                [
                    ("id", .uuid), ("order_id", .uuid), ("kind", .word(OrderPhoto.Kind.self)), ("sha256", .string()),
                    ("observed_at", .time), ("received_at", .time), ("url", .string()), ("thumbnail_url", .string()),
                ]),
            part("notices", [("notice_id", .uuid), ("state", .string())]),
            part(
                "decisions",
                [
                    ("decision_id", .uuid), ("kind", .word(DecisionRecord.Kind.self)), ("what", .string()),
                    ("reason", reason), ("rule_version", .integer()), ("actor", .string()), ("decided_at", .time),
                ]),
            part("overdue_marks", [("clock", .word(CaseClocks.Clock.self)), ("due_at", .time), ("raised_at", .time)]),
            part("timeline", [("at", .time), ("fact", .string()), ("crew_id", .nullable(.uuid))]),
        ]
        let totals = parts.map { Schema.Field($0.name + "_total", .integer(minimum: 0), "In all.") }
        document.define("CaseDetail", .object(CaseView.shown.map(\.field) + parts + totals))
        let photos = part("photos", photo)
        document.define(
            "CaseReport",
            .object(
                report.map { Schema.Field($0.0, $0.1) } + [Schema.Field("received_at", .time), photos], open: true))
    }

    private static let report: [(String, Schema)] = [
        ("report_id", .uuid), ("filed_case_id", .nullable(.uuid)), ("reason", .string()),
    ]
    private static let photo: [(String, Schema)] = [
        ("sha256", .string()), ("url", .string()), ("thumbnail_url", .string()),
    ]

    /// The rows carry more than these; what they carry for certain is said.
    private static func part(_ name: String, _ fields: [(String, Schema)]) -> Schema.Field {
        Schema.Field(
            name, .array(of: .object(fields.map { Schema.Field($0.0, $0.1) }, open: true)))
    }
}
