import FoundationEssentials
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `GET /v1/evidence`: the ledger's facts of one case, order, report or notice.
struct EvidenceRoutes: Sendable {
    let database: PostgresClient

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        document.define(
            "Evidence",
            .object([
                .init("event_id", .uuid), .init("fact", .string()), .init("source", .word(ServiceName.self)),
                .init("aggregate_id", .uuid), .init("version", .integer(minimum: 0)), .init("district_id", .uuid),
                .init("street_id", .nullable(.uuid)), .init("community_id", .nullable(.uuid)), .init("at", .time),
                .init("body", .object([], open: true), "The snapshot that the event carried."),
            ]))
        router.add(
            &document,
            Operation(
                .get, "/v1/evidence", "The facts that the ledger holds of one thing", access: .roles(.manager, .admin),
                parameters: [.query("aggregate_id", .uuid, required: true, "Id of a case, order, report or notice.")],
                answers: [.ok(.page(of: .reference("Evidence")))], paged: true)
        ) { request, context in
            try await list(request, context)
        }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.manager, .admin)
        guard let aggregate = try request.query().id("aggregate_id", PlaceSnapshot.self) else {
            throw Problem.invalid("aggregate_id", code: "missing", "This parameter is required.", zh: "缺少该参数。")
        }
        let page = try request.page("evidence", .id)
        let rows = try await database.query(
            IndicatorStore.evidence(
                aggregate.rawValue, districts: context.scope.districtIDs, after: page.cursor?.id(0), limit: page.limit),
            scope: context.scope)
        return try .json(
            .ok, Page(try rows.map(EvidenceItem.init), limit: page.limit) { Cursor("evidence", .id($0.eventID)) })
    }
}

struct EvidenceItem: Encodable, Sendable {
    let eventID: EventRecord.ID
    private let fields: [String: JSONValue]

    init(_ row: Row) throws {
        eventID = try row.decode("event_id")
        var fields: [String: JSONValue] = [
            "version": .integer(Int64(try row.decode("version", as: Int.self))),
            "at": .string(try row.decode("at", as: Timestamp.self).description),
            "body": try JSONB(row.decode("body", as: String.self)).decode(),
        ]
        for name in ["fact", "source"] { fields[name] = .string(try row.decode(name)) }
        for name in ["event_id", "aggregate_id", "district_id", "street_id", "community_id"] {
            fields[name] = JSONValue(try row.decode(name, as: UUID?.self))
        }
        self.fields = fields
    }

    func encode(to encoder: any Encoder) throws {
        try fields.encode(to: encoder)
    }
}
