import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `/v1/scaling`: how many instances the work wants, and how many the database's connections allow.
struct ScalingRoutes: Sendable {
    let desk: Desk
    /// Connections that one instance opens.
    let connections: Int

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Self.scaling) { _, context in try await show(context) }
    }

    static let scaling = Operation(
        .get, "/v1/scaling", "How many instances are wanted", access: .roles([.system, .admin]),
        answers: [.ok(Scaling.schema)])

    private func show(_ context: APIContext) async throws -> Response {
        try context.require(.system, .admin)
        let row = try await desk.database.query(ScalingStore.look, scope: .city)[0]
        let waiting: Int = try row.decode("waiting")
        let free: Int = try row.decode("free")
        let own: Int = try row.decode("own")
        let wanted = min(8, 1 + waiting / 5_000)
        // Those that run have their connections; each further one needs as many again.
        let running = max(1, own / max(1, connections))
        let allowed = max(1, running + max(0, free) / max(1, connections))
        return try .json(
            .ok,
            Presented(
                Scaling(
                    wanted: min(wanted, allowed), waiting: waiting, allowed: allowed,
                    pressure: try row.decode("pressure"))))
    }
}

struct Scaling: Presentable {
    var wanted: Int
    var waiting: Int
    var allowed: Int
    var pressure: Double

    static let shown: [ShownField<Scaling>] = [
        .init("wanted", .integer(minimum: 1), "Instances: the smaller of what the work wants and what is allowed.") {
            $0.wanted
        },
        .init("waiting", .integer(minimum: 0), "Messages and cases that wait, up to 100,000.") { $0.waiting },
        .init("allowed", .integer(minimum: 1), "Instances that the database's connections allow.") { $0.allowed },
        .init("pressure", .number(0...1), "How hard the emergency lane is pressed.") { $0.pressure },
    ]
}
