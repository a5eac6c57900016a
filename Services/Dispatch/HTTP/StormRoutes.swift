import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// `/v1/storm`: the level that is in force in each district. A change sets the open cases' clocks anew.
struct StormRoutes: Sendable {
    let desk: Desk

    private struct Input: Decodable {
        var level: StormLevel
        var reason: String?
    }

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Self.get) { request, context in try await show(request, context) }
        router.add(&document, Self.put) { request, context in try await set(request, context) }
    }

    private static let district = Operation.Parameter.query("district", .uuid, required: true)

    static let get = Operation(
        .get, "/v1/storm", "The storm level of a district", access: .look, parameters: [district],
        answers: [.ok(.reference("Storm"), versioned: true)])

    static let put = Operation(
        .put, "/v1/storm", "Set the storm level of a district", access: .dispatch, parameters: [district],
        body: .json(
            .object([
                Schema.Field("level", .word(StormLevel.self)),
                Schema.Field("reason", .nullable(.text(1...500)), required: false),
            ])),
        answers: [.ok(.reference("Storm"), versioned: true)], conditional: true)

    static func define(in document: inout OpenAPIDocument) {
        document.define("Storm", StormView.schema)
    }

    private func show(_ request: Request, _ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        guard let district = try request.query().id("district", District.self) else { throw Problem.noSuchDistrict }
        if viewer.crew == nil { try context.requireDistrict(district) }
        let rows = try await desk.database.query(StormStore.read([district]), scope: viewer.scope)
        let storm = try StormView(rows.first, district: district)
        return try .json(headers: .version(storm.snapshot.version), Presented(storm))
    }

    private func set(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.dispatcher)
        guard let district = try request.query().id("district", District.self) else { throw Problem.noSuchDistrict }
        try context.requireDistrict(district)
        let input = try await request.json(Input.self, limit: 4 << 10)
        if let reason = input.reason {
            var check = Validation()
            check.text("reason", reason, 1...500)
            try check.finish()
        }
        let basedOn = try request.ifMatch()
        let storm = try await desk.transacting.decide(scope: context.scope) { transaction in
            let before = try StormView(
                try await transaction.query(StormStore.lock(district)).first, district: district)
            guard before.snapshot.version == basedOn else {
                throw Problem.preconditionFailed(current: before.snapshot.version)
            }
            let now = desk.sources.now()
            let snapshot = StormSnapshot(
                districtID: district, version: before.snapshot.version + 1, level: input.level, since: now,
                reason: input.reason)
            var changes = Changes(sources: desk.sources, now: now, actor: context.principal.actor)
            // The dispatcher's own words stay here; events carry none.
            var announced = snapshot
            announced.reason = nil
            try changes.announce(
                .stormLevelChanged, aggregate: district.rawValue, version: snapshot.version, district: district,
                responsible: district, lane: .routine, data: try JSONBytes.encode(announced),
                cause: Changes.Cause(traceparent: context.traceparent))
            try await transaction.commit(
                [StormStore.save(snapshot, by: context.principal.actor)] + (try changes.writes())
                    + desk.transacting.messaging.announce(changes.announcements))
            return (
                StormView(snapshot: snapshot, changedBy: context.principal.actor), changes.announcements
            )
        }
        return try .json(headers: .version(storm.snapshot.version), Presented(storm))
    }
}

struct StormView: Presentable {
    var snapshot: StormSnapshot
    var changedBy: String?

    init(snapshot: StormSnapshot, changedBy: String?) {
        self.snapshot = snapshot
        self.changedBy = changedBy
    }

    /// A district without a row has no storm, in version 0.
    init(_ row: Row?, district: District.ID) throws {
        guard let row else {
            snapshot = StormSnapshot(
                districtID: district, version: 0, level: .none, since: Timestamp(microseconds: 0))
            return
        }
        snapshot = StormSnapshot(
            districtID: district, version: try row.decode("version"), level: try row.decode("level"),
            since: try row.decode("since"), reason: try row.decode("reason"))
        changedBy = try row.decode("changed_by")
    }

    static let shown: [ShownField<StormView>] = [
        .init("district_id", .uuid) { $0.snapshot.districtID },
        .init("level", .word(StormLevel.self)) { $0.snapshot.level },
        .init("version", .integer(minimum: 0)) { $0.snapshot.version },
        .init("since", .nullable(.time)) { $0.snapshot.version == 0 ? nil : $0.snapshot.since },
        .init("reason", .nullable(.string())) { $0.snapshot.reason },
        .init("changed_by", .nullable(.string())) { $0.changedBy },
    ]
}
