import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Pictures
import Postgres
import Rules
import ServiceKit

/// `/v1/orders`: a crew's work, and what it observed about it.
struct OrderRoutes: Sendable {
    let desk: Desk
    let steps: CrewSteps

    private struct Batch: Decodable {
        var device: String?
        var deviceClock: Timestamp?
        var steps: [Step]

        private enum CodingKeys: String, CodingKey {
            case device
            case deviceClock = "device_clock"
            case steps
        }
    }

    private struct Step: Decodable {
        var id: UUID
        var kind: ObservedStep.Kind
        var observedAt: Timestamp
        var basedOn: Int
        var note: String?
        var photos: [String]?
        var lon: Double?
        var lat: Double?

        private enum CodingKeys: String, CodingKey {
            case id, kind, note, photos, lon, lat
            case observedAt = "observed_at"
            case basedOn = "based_on"
        }
    }

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, OrderDescriptions.list) { request, context in try await list(request, context) }
        router.add(&document, OrderDescriptions.one) { _, context in try await one(context) }
        router.add(&document, OrderDescriptions.steps) { request, context in try await take(request, context) }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        let page = try request.page("orders", .id)
        let query = try request.query()
        var filter = OrderFilter(
            crew: viewer.crew, districts: viewer.districts, open: try query.bool("open"), limit: page.rowsToRead)
        if let crew = try query.id("crew", Crew.self), viewer.crew == nil { filter.crew = crew }
        if let district = try query.id("district", District.self) {
            if viewer.crew == nil { try context.requireDistrict(district) }
            filter.districts = [district.rawValue]
        }
        if let crew = viewer.crew, filter.open == true {
            return try .json(.ok, try await way(of: crew, filter, scope: viewer.scope))
        }
        filter.after = page.cursor.map { $0.id(0) }
        let rows = try await desk.database.query(OrderStore.list(filter), scope: viewer.scope)
        return try .json(
            .ok,
            Page(try rows.map { Presented(try ListedOrder($0)) }, limit: page.limit) { shown in
                Cursor("orders", .id(shown.value.order.orderID))
            })
    }

    /// A crew's open orders as it goes to them. All on one page: where the crew is changes the order between two pages.
    private func way(
        of crew: Crew.ID, _ filter: OrderFilter, scope: DistrictScope
    ) async throws -> Page<Presented<ListedOrder>> {
        var filter = filter
        filter.limit = Self.wayLimit
        let answers = try await desk.database.segment(
            [OrderStore.list(filter), CrewStore.position(of: crew)], scope: scope)
        let orders = try answers[0].map { try ListedOrder($0) }
        let here = try answers[1].first.map { row in
            Coordinate(lon: try row.decode("lon"), lat: try row.decode("lat"))
        }
        let way = TravelOrder.sorted(orders.map(\.stop), from: here)
        let byID = Dictionary(orders.map { ($0.order.orderID, $0) }) { first, _ in first }
        return Page(items: way.compactMap { byID[$0] }.map { Presented($0) }, next: nil)
    }

    /// More than any crew's list holds in practice.
    private static let wayLimit = 200

    private func one(_ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        let orderID = try context.pathID("id", WorkOrder.self)
        let answers = try await desk.database.segment(
            [OrderStore.one(orderID, crew: viewer.crew), OrderPhotoStore.all(of: orderID)], scope: viewer.scope)
        guard let order = try answers[0].first.map({ try ListedOrder($0) }), order.order.districtID != District.city
        else {
            throw Problem.notFound("The order", zh: "工单")
        }
        let detail = OrderDetail(listed: order, photos: try answers[1].map { try OrderPhoto($0) })
        return try .json(headers: .version(order.order.version), Presented(detail))
    }

    private func take(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.crew)
        let orderID = try context.pathID("id", WorkOrder.self)
        let body = try await request.jsonBody(limit: 256 << 10)
        let now = desk.sources.now()
        var input = try body.decode(Batch.self)
        input.deviceClock = try request.deviceClock(or: input.deviceClock, now: now)
        let batch = try Self.checked(input, now: now)
        let key = try Idempotency.read(request, context, body: body.bytes)
        var crew = try await desk.crew(of: claims)
        // A phone sends when it can: by then the order may be another's, and the loan that it came with over.
        let own = try await desk.database.query(OwnOrder.find(orderID, of: claims.sub), scope: .none).first
        if let own = try own.map({ try OwnOrder($0) }) { crew.districts.append(own.districtID.rawValue) }
        return try await desk.once(
            key,
            answer: { (answer: CrewSteps.Answer) in
                try StoredResponse(.ok, headers: .version(answer.order.version), json: StepsAnswer(answer))
            },
            { [crew] claim, complete in
                try await steps.take(
                    batch, order: orderID, crew: crew, account: claims.sub, trace: context.traceparent, claim: claim,
                    complete: complete)
            })
    }

    private static func checked(_ batch: Batch, now: Timestamp) throws -> CrewSteps.Batch {
        var check = Validation()
        check.count("steps", batch.steps, 1...100)
        if let device = batch.device { check.text("device", device, 1...64) }
        if let clock = batch.deviceClock { check.recent("device_clock", clock, now: now) }
        var seen: Set<UUID> = []
        for (index, step) in batch.steps.prefix(100).enumerated() {
            let path = "steps[\(index)]"
            check.recent("\(path).observed_at", step.observedAt, now: now)
            check.range("\(path).based_on", step.basedOn, 0...1_000_000)
            if let note = step.note { check.text("\(path).note", note, 0...2_000) }
            check.require(
                step.kind != .decline || !(step.note ?? "").isEmpty, "\(path).note", code: "missing",
                "Say why it is handed back.", zh: "退回工单需填写原因。")
            check.count("\(path).photos", step.photos ?? [], 0...12)
            check.require(
                (step.photos ?? []).allSatisfy { Digest.isDigest($0) }, "\(path).photos", code: "form",
                "SHA-256 in lower-case hexadecimal is wanted.",
                zh: "应为小写十六进制 SHA-256。")
            check.require(
                (step.lon == nil) == (step.lat == nil), "\(path).lon", code: "missing",
                "lon and lat belong together.", zh: "lon 与 lat 应同时给出。")
            check.place("\(path).lon", step.lon ?? 0, "\(path).lat", step.lat ?? 0)
            check.require(
                seen.insert(step.id).inserted, "\(path).id", code: "duplicate", "This id is there twice.", zh: "标识重复。")
        }
        try check.finish()
        return CrewSteps.Batch(
            steps: batch.steps.map { step in
                ObservedStep(
                    stepID: step.id, kind: step.kind, observedAt: step.observedAt, basedOn: step.basedOn,
                    note: step.note, photos: step.photos ?? [],
                    place: step.lon.flatMap { lon in step.lat.map { Coordinate(lon: lon, lat: $0) } })
            }, device: batch.device, deviceClock: batch.deviceClock)
    }
}

/// What became of a batch of observations.
private struct StepsAnswer: Encodable {
    let answer: CrewSteps.Answer

    init(_ answer: CrewSteps.Answer) { self.answer = answer }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.encode(Presented(OrderView(record: answer.order)), forKey: "order")
        try container.encode(answer.results.map { Presented($0) }, forKey: "steps")
    }
}

extension StepResult: Presentable {
    static let shown: [ShownField<StepResult>] = [
        .init("id", .uuid) { Identifier<StepResult>($0.step.stepID) },
        .init("kind", .word(ObservedStep.Kind.self)) { $0.step.kind },
        .init("outcome", .word(Outcome.self)) { $0.outcome },
        .init("reason", CaseView.reasonSchema) { $0.reason },
        .init("observed_at", .time) { $0.step.observedAt },
        .init("counted_at", .time, "The time that counts for clocks and indicators.") { $0.time.at },
        .init("counted", .word(ObservedTime.Counted.self)) { $0.time.counted },
        .init("counted_reason", .string()) { $0.time.reason.code },
        .init("replayed", .boolean, "It had been sent before under this id.") { $0.isReplay },
    ]
}

enum OrderDescriptions {
    static let list = Operation(
        .get, "/v1/orders", "Orders; a crew sees its own", access: .look,
        description: """
            The newest first. A crew that asks for its open ones gets them in the order of travel, all on one page: what \
            it has started, then emergencies by severity, then the rest; of equal rank always the nearest next, from \
            where the crew was last seen.
            """,
        parameters: [
            .query("open", .boolean, "Only those that still bind a crew, or only those that do not."),
            .query("crew", .uuid), .query("district", .uuid),
        ],
        answers: [.ok(.page(of: .reference("ListedOrder")))], paged: true)

    static let one = Operation(
        .get, "/v1/orders/{id}", "One order with the place to go to and its photos", access: .look,
        answers: [.ok(.reference("OrderDetail"), versioned: true)])

    static let steps = Operation(
        .post, "/v1/orders/{id}/steps", "What the crew observed", access: .roles([.crew]),
        description: """
            Needs no If-Match: each observation is applied, or kept as late or contradicting; none is dropped. Ids are \
            the client's, so that a phone can send again what it has sent. `device_clock` is the phone's clock as it \
            sends, unless `Sluice-Device-Clock` tells it; an observed time counts from the phone's first sync on, if the \
            clock has not been moved since.
            """,
        parameters: [.deviceClock],
        body: .json(
            .object([
                Schema.Field("device", .text(1...64), required: false, "Which phone."),
                Schema.Field("device_clock", .time, required: false),
                Schema.Field("steps", .array(of: step, minItems: 1, maxItems: 100)),
            ])),
        answers: [
            .ok(
                .object([
                    Schema.Field("order", .reference("Order")),
                    Schema.Field("steps", .array(of: StepResult.schema)),
                ]), versioned: true)
        ], idempotent: true)

    private static let step = Schema.object([
        Schema.Field("id", .uuid, "Made by the client."), Schema.Field("kind", .word(ObservedStep.Kind.self)),
        Schema.Field("observed_at", .time, "By the phone's clock."),
        Schema.Field("based_on", .integer(0...1_000_000), "The order's version that the crew saw."),
        Schema.Field("note", .nullable(.string(maxLength: 2_000)), required: false, "Wanted with `decline`."),
        Schema.Field(
            "photos", .nullable(.array(of: OrderPhoto.digest, maxItems: 12)), required: false,
            "SHA-256 of photos as the phone sends them, before or after this, to `attachments`."),
        Schema.Field("lon", .nullable(.number(-180...180)), required: false),
        Schema.Field("lat", .nullable(.number(-90...90)), required: false),
    ])

    static func define(in document: inout OpenAPIDocument) {
        document.define("ListedOrder", ListedOrder.schema)
        document.define("OrderPhoto", OrderPhoto.schema)
        document.define("OrderDetail", OrderDetail.schema)
    }
}
