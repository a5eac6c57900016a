import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// What the routes stand on.
struct Desk: Sendable {
    let database: PostgresClient
    let transacting: Transacting
    let categories: CategoryCache

    var sources: Sources { transacting.sources }

    /// The crew of the account, and what it may see now. Throws a `Problem` (403) for an account without a crew.
    func crew(of claims: Claims) async throws -> CrewScope {
        guard let row = try await database.query(CrewScope.find(claims.sub), scope: .none).first else {
            throw Problem.forbidden("Your account belongs to no crew.", zh: "您的账号未绑定班组。")
        }
        return try CrewScope(row)
    }

    /// Who looks: staff in its districts, or a crew at its own work.
    struct Viewer: Sendable {
        var scope: DistrictScope
        var crew: Crew.ID?
        /// Nil for the whole city.
        var districts: [UUID]?
    }

    static let staff: [Role] = [.dispatcher, .manager, .office, .admin]

    func viewer(_ context: APIContext) async throws -> Viewer {
        let claims = try context.requireAccount()
        if Self.staff.contains(where: claims.has) {
            return Viewer(scope: context.scope, crew: nil, districts: context.scope.districtIDs)
        }
        guard claims.has(.crew) else { throw Problem.forbidden }
        let crew = try await crew(of: claims)
        return Viewer(scope: .districts(crew.districts), crew: crew.crewID, districts: crew.districts)
    }

    /// Does something once under the request's Idempotency-Key, and answers what was stored with it. Throws a `Problem`
    /// (503) while the categories have not been read: a case that is queued before then would want no skill.
    ///
    /// - Parameter work: one transaction that begins with the claim and ends with the statement that `complete` makes.
    func once<Value: Sendable>(
        _ key: IdempotencyKey, answer: @escaping @Sendable (Value) throws -> StoredResponse,
        _ work: (_ claim: SQL, _ complete: (Value) throws -> SQL) async throws -> Value
    ) async throws -> Response {
        guard categories.current.readAt != nil else { throw Problem.unavailable() }
        return try await Idempotency.once(key, using: database) {
            // Encoded once: a second time the fields may come in another order.
            var stored: StoredResponse?
            let value = try await work(key.claim) { value in
                let response = try answer(value)
                stored = response
                return try key.complete(response)
            }
            return try (stored ?? answer(value)).response
        }
    }
}

extension Operation.Access {
    static let dispatch = Operation.Access.roles([.dispatcher])
    static let look = Operation.Access.roles([.dispatcher, .manager, .office, .admin, .crew])
}

extension Problem {
    static let noSuchDistrict = Problem.invalid(
        "district", code: "missing", "Name the district.", zh: "请指定行政区。")
}

/// Times that PostgreSQL can keep and that make sense for what somebody has just seen.
extension Validation {
    mutating func recent(_ field: String, _ time: Timestamp, now: Timestamp) {
        require(
            time > now - .seconds(400 * 86_400) && time < now + .seconds(400 * 86_400), field, code: "range",
            "A time within 400 days of now is wanted.", zh: "时间应在前后 400 天之内。")
    }

    mutating func place(_ lonField: String, _ lon: Double, _ latField: String, _ lat: Double) {
        range(lonField, lon, -180...180)
        range(latField, lat, -90...90)
    }
}
