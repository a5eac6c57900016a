import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// `/v1/crews` and `/v1/shifts`: who can be sent, where they are, and when they work.
struct CrewRoutes: Sendable {
    let desk: Desk
    let shifts: CrewShifts

    private struct NewCrew: Decodable {
        var districtID: District.ID
        var name: String
        var vehicle: String?
        var skills: [String]
        var depotLon: Double
        var depotLat: Double
        var listLimit: Int?
        var members: [Account.ID]?

        private enum CodingKeys: String, CodingKey {
            case name, vehicle, skills, members
            case districtID = "district_id"
            case depotLon = "depot_lon"
            case depotLat = "depot_lat"
            case listLimit = "list_limit"
        }
    }

    private struct ChangedCrew: Decodable {
        var name: String?
        var vehicle: String?
        var skills: [String]?
        var depotLon: Double?
        var depotLat: Double?
        var listLimit: Int?
        var active: Bool?
        var members: [Account.ID]?

        private enum CodingKeys: String, CodingKey {
            case name, vehicle, skills, active, members
            case depotLon = "depot_lon"
            case depotLat = "depot_lat"
            case listLimit = "list_limit"
        }
    }

    private struct NewLoan: Decodable {
        var districtID: District.ID
        var since: Timestamp?
        var until: Timestamp
        var reason: String?

        private enum CodingKeys: String, CodingKey {
            case since, until, reason
            case districtID = "district_id"
        }
    }

    private struct NewPosition: Decodable {
        var lon: Double
        var lat: Double
        var observedAt: Timestamp
        var device: String?
        var deviceClock: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case lon, lat, device
            case observedAt = "observed_at"
            case deviceClock = "device_clock"
        }
    }

    private struct NewShift: Decodable {
        var id: Shift.ID?
        var observedAt: Timestamp?
        var lon: Double?
        var lat: Double?
        var device: String?
        var deviceClock: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case id, lon, lat, device
            case observedAt = "observed_at"
            case deviceClock = "device_clock"
        }
    }

    private struct EndedShift: Decodable {
        var observedAt: Timestamp?
        var device: String?
        var deviceClock: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case device
            case observedAt = "observed_at"
            case deviceClock = "device_clock"
        }
    }

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, CrewDescriptions.list) { request, context in try await list(request, context) }
        router.add(&document, CrewDescriptions.create) { request, context in try await create(request, context) }
        router.add(&document, CrewDescriptions.change) { request, context in try await change(request, context) }
        router.add(&document, CrewDescriptions.lend) { request, context in try await lend(request, context) }
        router.add(&document, CrewDescriptions.position) { request, context in try await place(request, context) }
        router.add(&document, CrewDescriptions.start) { request, context in try await start(request, context) }
        router.add(&document, CrewDescriptions.end) { request, context in try await end(request, context) }
    }

    // MARK: - Crews

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let viewer = try await desk.viewer(context)
        let page = try request.page("crews", .id)
        let query = try request.query()
        var districts = viewer.districts
        if let district = try query.id("district", District.self) {
            if viewer.crew == nil { try context.requireDistrict(district) }
            districts = [district.rawValue]
        }
        let rows = try await desk.database.query(
            CrewRegister.list(
                districts: districts, crew: viewer.crew, onShift: try query.bool("on_shift"),
                after: page.cursor?.id(0), limit: page.rowsToRead), scope: viewer.scope)
        return try .json(
            .ok,
            Page(try rows.map { Presented(try CrewView($0)) }, limit: page.limit) { shown in
                Cursor("crews", .id(shown.value.crewID))
            })
    }

    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.dispatcher, .admin)
        let body = try await request.jsonBody(limit: 64 << 10)
        let input = try body.decode(NewCrew.self)
        var check = Validation()
        CrewChange(input.name, input.vehicle, input.skills, input.depotLon, input.depotLat, input.listLimit)
            .check(&check)
        CrewMembers.check(input.members ?? [], &check)
        try check.finish()
        try context.requireDistrict(input.districtID, field: "district_id")
        let key = try Idempotency.read(request, context, body: body.bytes)
        let crewID = Crew.ID(desk.sources.randomUUID(desk.sources.now()))
        return try await desk.once(key, answer: Self.answer(.created)) { claim, complete in
            try await desk.transacting.decide(scope: context.scope) { transaction in
                try await transaction.send([
                    claim,
                    CrewRegister.insert(
                        crewID, district: input.districtID, name: input.name, vehicle: input.vehicle,
                        skills: input.skills, lon: input.depotLon, lat: input.depotLat,
                        listLimit: input.listLimit ?? 8),
                ])
                try await CrewMembers.set(input.members, of: crewID, district: input.districtID, in: transaction)
                let crew = try await transaction.query(CrewRegister.one(crewID)).first.map { try CrewView($0) }
                guard let crew else { throw Problem.notFound("The crew", zh: "班组") }
                try await transaction.commit([complete(crew)])
                return (crew, [])
            }
        }
    }

    private func change(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.dispatcher, .admin)
        let crewID = try context.pathID("id", Crew.self)
        let input = try await request.json(ChangedCrew.self, limit: 64 << 10)
        var check = Validation()
        let change = CrewChange(
            input.name, input.vehicle, input.skills, input.depotLon, input.depotLat, input.listLimit)
        change.check(&check)
        CrewMembers.check(input.members ?? [], &check)
        try check.finish()
        let basedOn = try request.ifMatch()
        let crew = try await desk.transacting.decide(scope: context.scope) { transaction in
            guard let before = try await transaction.query(CrewRegister.lock(crewID)).first else {
                throw Problem.notFound("The crew", zh: "班组")
            }
            let version: Int = try before.decode("version")
            let district: District.ID = try before.decode("district_id")
            try context.requireDistrict(district, field: "id")
            guard version == basedOn else { throw Problem.preconditionFailed(current: version) }
            try await CrewMembers.set(input.members, of: crewID, district: district, in: transaction)
            let rows = try await transaction.commit([
                CrewRegister.update(crewID, change, active: input.active), CrewRegister.one(crewID),
            ])
            guard let crew = try rows.last?.first.map({ try CrewView($0) }) else {
                throw Problem.notFound("The crew", zh: "班组")
            }
            return (crew, [])
        }
        desk.transacting.claims.signal()
        return try .json(headers: .version(crew.version), Presented(crew))
    }

    private func lend(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.dispatcher, .admin)
        let crewID = try context.pathID("id", Crew.self)
        let body = try await request.jsonBody(limit: 16 << 10)
        let input = try body.decode(NewLoan.self)
        let now = desk.sources.now()
        let since = input.since ?? now
        var check = Validation()
        check.recent("since", since, now: now)
        check.require(
            input.until > max(since, now) && input.until < since + .seconds(31 * 86_400), "until", code: "range",
            "After its beginning, and within 31 days of it.", zh: "应晚于开始时间且不超过 31 天。")
        if let reason = input.reason { check.text("reason", reason, 1...500) }
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        let loanID = desk.sources.randomUUID(now)
        return try await desk.once(key, answer: Self.answer(.created)) { claim, complete in
            let crew = try await desk.transacting.decide(scope: context.scope) { transaction in
                let before = try await transaction.send([claim, CrewRegister.lock(crewID)])[1].first
                guard let home: District.ID = try before?.decode("district_id"), claims.covers(home) else {
                    throw Problem.notFound("The crew", zh: "班组")
                }
                guard home != input.districtID else {
                    throw Problem.invalid(
                        "district_id", code: "not_allowed", "This is the crew's own district.", zh: "该区即为班组所属区。")
                }
                let rows = try await transaction.send([
                    CrewRegister.lend(
                        crewID, loan: loanID, to: input.districtID, home: home, since: since, until: input.until,
                        by: context.principal.actor, reason: input.reason),
                    CrewRegister.one(crewID),
                ])
                guard let crew = try rows[1].first.map({ try CrewView($0) }) else {
                    throw Problem.notFound("The crew", zh: "班组")
                }
                try await transaction.commit([complete(crew)])
                return (crew, [])
            }
            desk.transacting.claims.signal()
            return crew
        }
    }

    private static func answer(_ status: HTTPResponse.Status) -> @Sendable (CrewView) throws -> StoredResponse {
        { crew in try StoredResponse(status, headers: .version(crew.version), json: Presented(crew)) }
    }

    // MARK: - Positions and shifts

    private func place(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.crew)
        let crewID = try context.pathID("id", Crew.self)
        let input = try await request.json(NewPosition.self, limit: 4 << 10)
        let now = desk.sources.now()
        let deviceClock = try request.deviceClock(or: input.deviceClock, now: now)
        var check = Validation()
        check.place("lon", input.lon, "lat", input.lat)
        check.recent("observed_at", input.observedAt, now: now)
        if let device = input.device { check.text("device", device, 1...64) }
        if let clock = deviceClock { check.recent("device_clock", clock, now: now) }
        try check.finish()
        let crew = try await desk.crew(of: claims)
        guard crew.crewID == crewID else { throw Problem.notFound("The crew", zh: "班组") }
        // Corrected by the phone's clock, and never later than now: a clock that runs ahead must not win for ever.
        let corrected = deviceClock.map { input.observedAt + (now - $0) } ?? input.observedAt
        var statements = [
            CrewStore.savePosition(
                crewID, home: crew.home, at: Coordinate(lon: input.lon, lat: input.lat),
                observedAt: min(corrected, now), receivedAt: now)
        ]
        if let device = input.device, let clock = deviceClock {
            statements.append(
                CrewStore.savePhoneOffset(crewID, home: crew.home, device: device, offset: now - clock, at: now))
        }
        try await desk.database.segment(statements, scope: .districts(crew.districts))
        return Response(status: .noContent)
    }

    private func start(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.crew)
        let body = try await request.jsonBody(limit: 4 << 10)
        let input = try body.decode(NewShift.self)
        let now = desk.sources.now()
        var check = Validation()
        check.require(
            (input.lon == nil) == (input.lat == nil), "lon", code: "missing", "lon and lat belong together.",
            zh: "lon 与 lat 应同时给出。")
        check.place("lon", input.lon ?? 0, "lat", input.lat ?? 0)
        let observation = CrewShifts.Observation(
            observedAt: input.observedAt,
            place: input.lon.flatMap { lon in input.lat.map { Coordinate(lon: lon, lat: $0) } },
            device: input.device, deviceClock: try request.deviceClock(or: input.deviceClock, now: now))
        observation.check(&check, now: now)
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        let crew = try await desk.crew(of: claims)
        return try await desk.once(
            key, answer: { (answer: CrewShifts.Answer) in try StoredResponse(.created, json: Presented(answer)) },
            { claim, complete in
                try await shifts.start(
                    input.id, observation, crew, account: claims.sub, claim: claim, complete: complete)
            })
    }

    private func end(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.crew)
        let shiftID = try context.pathID("id", Shift.self)
        let body = try await request.jsonBody(limit: 4 << 10)
        let input = try body.decode(EndedShift.self)
        let now = desk.sources.now()
        let observation = CrewShifts.Observation(
            observedAt: input.observedAt, device: input.device,
            deviceClock: try request.deviceClock(or: input.deviceClock, now: now))
        var check = Validation()
        observation.check(&check, now: now)
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        let crew = try await desk.crew(of: claims)
        return try await desk.once(
            key, answer: { (answer: CrewShifts.Answer) in try StoredResponse(.ok, json: Presented(answer)) },
            { claim, complete in
                try await shifts.end(
                    shiftID, observation, crew, account: claims.sub, trace: context.traceparent, claim: claim,
                    complete: complete)
            })
    }
}

extension CrewShifts.Observation {
    fileprivate func check(_ check: inout Validation, now: Timestamp) {
        if let observedAt { check.recent("observed_at", observedAt, now: now) }
        if let device { check.text("device", device, 1...64) }
        if let deviceClock { check.recent("device_clock", deviceClock, now: now) }
    }
}
