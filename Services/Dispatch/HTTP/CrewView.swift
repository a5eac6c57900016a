import FoundationEssentials
import HTTPTypes
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// A crew as the API shows it: who they are, and what they are doing.
struct CrewView: Presentable {
    var crewID: Crew.ID
    var districtID: District.ID
    var name: String
    var vehicle: String?
    var skills: [String]
    var depotLon: Double
    var depotLat: Double
    var listLimit: Int
    var active: Bool
    var version: Int
    var shiftID: Shift.ID?
    var order: WorkOrder.ID?
    var orderEmergency: Bool?
    var orderState: String?
    var listed: Int
    var lon: Double
    var lat: Double
    var positionAt: Timestamp
    var members: [Account.ID]
    var lentTo: [District.ID]

    init(_ row: Row) throws {
        crewID = try row.decode("crew_id")
        districtID = try row.decode("district_id")
        name = try row.decode("name")
        vehicle = try row.decode("vehicle")
        skills = try row.decode("skills")
        depotLon = try row.decode("depot_lon")
        depotLat = try row.decode("depot_lat")
        listLimit = try row.decode("list_limit")
        active = try row.decode("active")
        version = try row.decode("version")
        shiftID = try row.decode("shift_id")
        order = try row.decode("active_order")
        orderEmergency = try row.decode("active_emergency")
        orderState = try row.decode("active_state")
        listed = try row.decode("listed")
        lon = try row.decode("lon")
        lat = try row.decode("lat")
        positionAt = try row.decode("observed_at")
        members = try row.decode("members")
        lentTo = try row.decode("lent_to")
    }

    static let shown: [ShownField<CrewView>] = [
        .init("crew_id", .uuid) { $0.crewID },
        .init("district_id", .uuid) { $0.districtID },
        .init("name", .string()) { $0.name },
        .init("vehicle", .nullable(.string())) { $0.vehicle },
        .init("skills", .array(of: .string())) { $0.skills },
        .init("depot_lon", .number(-180...180)) { $0.depotLon },
        .init("depot_lat", .number(-90...90)) { $0.depotLat },
        .init("list_limit", .integer(1...100_000), "Unstarted routine orders that it may have.") { $0.listLimit },
        .init("active", .boolean) { $0.active },
        .init("version", .integer(minimum: 1)) { $0.version },
        .init("on_shift", .boolean) { $0.shiftID != nil },
        .init("shift_id", .nullable(.uuid)) { $0.shiftID },
        .init("active_order", .nullable(.uuid), "The job that binds it now.") { $0.order },
        .init("active_emergency", .nullable(.boolean)) { $0.orderEmergency },
        .init("active_state", .nullable(.string())) { $0.orderState },
        .init("listed", .integer(minimum: 0), "Unstarted routine orders in its list.") { $0.listed },
        .init("lon", .number(-180...180)) { $0.lon },
        .init("lat", .number(-90...90)) { $0.lat },
        .init("position_at", .time) { $0.positionAt },
        .init("members", .array(of: .uuid), "Accounts.") { $0.members },
        .init("lent_to", .array(of: .uuid), "Districts that it is lent to now.") { $0.lentTo },
    ]
}

/// What may be set about a crew.
struct CrewChange: Sendable {
    var name: String?
    var vehicle: String?
    var skills: [String]?
    var depotLon: Double?
    var depotLat: Double?
    var listLimit: Int?

    init(
        _ name: String?, _ vehicle: String?, _ skills: [String]?, _ depotLon: Double?, _ depotLat: Double?,
        _ listLimit: Int?
    ) {
        self.name = name
        self.vehicle = vehicle
        self.skills = skills
        self.depotLon = depotLon
        self.depotLat = depotLat
        self.listLimit = listLimit
    }

    func check(_ check: inout Validation) {
        if let name { check.text("name", name, 1...80) }
        if let vehicle { check.text("vehicle", vehicle, 1...80) }
        if let skills {
            check.count("skills", skills, 0...40)
            for (index, skill) in skills.prefix(40).enumerated() { check.word("skills[\(index)]", skill) }
        }
        check.require(
            (depotLon == nil) == (depotLat == nil), "depot_lon", code: "missing",
            "depot_lon and depot_lat belong together.", zh: "depot_lon 与 depot_lat 应同时给出。")
        check.place("depot_lon", depotLon ?? 0, "depot_lat", depotLat ?? 0)
        if let listLimit { check.range("list_limit", listLimit, 1...100_000) }
    }
}

extension Validation {
    /// A code: lower-case letters, digits and `_`, beginning with a letter.
    mutating func word(_ field: String, _ value: String) {
        let isWord =
            (1...48).contains(value.utf8.count)
            && value.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
            && value.utf8.first.map { (0x61...0x7A).contains($0) } == true
        require(
            isWord, field, code: "form", "Lower-case letters, digits and _ are wanted, a letter first.",
            zh: "应为小写字母开头的小写字母、数字和下划线。")
    }
}

enum CrewDescriptions {
    static let list = Operation(
        .get, "/v1/crews", "Crews with what they are doing", access: .look,
        parameters: [.query("district", .uuid), .query("on_shift", .boolean)],
        answers: [.ok(.page(of: .reference("Crew")))], paged: true)

    private static let fields: [Schema.Field] = [
        Schema.Field("vehicle", .nullable(.text(1...80)), required: false),
        Schema.Field("list_limit", .nullable(.integer(1...100_000)), required: false),
        Schema.Field(
            "members", .nullable(.array(of: .uuid, maxItems: 40)), required: false,
            "Accounts, each once; 409 `member_elsewhere` for one of a crew in a district that is not yours."),
    ]
    private static let skill = Schema.string(pattern: "^[a-z][a-z0-9_]{0,47}$")

    static let create = Operation(
        .post, "/v1/crews", "A new crew", access: .roles([.dispatcher, .admin]),
        body: .json(
            .object(
                [
                    Schema.Field("district_id", .uuid), Schema.Field("name", .text(1...80)),
                    Schema.Field("skills", .array(of: skill, maxItems: 40)),
                    Schema.Field("depot_lon", .number(-180...180)), Schema.Field("depot_lat", .number(-90...90)),
                ] + fields)),
        answers: [.created(.reference("Crew"), versioned: true)], idempotent: true)

    static let change = Operation(
        .patch, "/v1/crews/{id}", "Change a crew", access: .roles([.dispatcher, .admin]),
        body: .json(
            .object(
                [
                    Schema.Field("name", .nullable(.text(1...80)), required: false),
                    Schema.Field("skills", .nullable(.array(of: skill, maxItems: 40)), required: false),
                    Schema.Field("depot_lon", .nullable(.number(-180...180)), required: false),
                    Schema.Field("depot_lat", .nullable(.number(-90...90)), required: false),
                    Schema.Field("active", .nullable(.boolean), required: false),
                ] + fields)),
        answers: [.ok(.reference("Crew"), versioned: true)], conditional: true)

    static let lend = Operation(
        .post, "/v1/crews/{id}/loans", "Lend a crew to another district for a time",
        access: .roles([.dispatcher, .admin]),
        body: .json(
            .object([
                Schema.Field("district_id", .uuid, "Who borrows."),
                Schema.Field("since", .nullable(.time), required: false, "Now, if not given."),
                Schema.Field("until", .time), Schema.Field("reason", .nullable(.text(1...500)), required: false),
            ])),
        answers: [.created(.reference("Crew"), versioned: true)], idempotent: true)

    private static let phone: [Schema.Field] = [
        Schema.Field("device", .nullable(.text(1...64)), required: false, "Which phone."),
        Schema.Field("device_clock", .nullable(.time), required: false, "The phone's clock as it sends."),
    ]

    static let position = Operation(
        .post, "/v1/crews/{id}/position", "Where the crew is; the last observation wins", access: .roles([.crew]),
        description: """
            Needs no id and no key: whatever comes late or twice, the place that was observed last stays. The time is \
            corrected by the phone's clock.
            """,
        parameters: [.deviceClock],
        body: .json(
            .object(
                [
                    Schema.Field("lon", .number(-180...180)), Schema.Field("lat", .number(-90...90)),
                    Schema.Field("observed_at", .time),
                ] + phone)),
        answers: [.noContent])

    private static let observed = Schema.Field(
        "observed_at", .nullable(.time), required: false, "By the phone's clock. Now, if not given.")

    static let start = Operation(
        .post, "/v1/shifts", "The crew begins its shift", access: .roles([.crew]),
        description: """
            With an id of the client's it may be sent late, again or after its own end. The same id with the same \
            `observed_at` and place is the same shift, otherwise 409 `id_taken`. It ends an earlier shift of the crew \
            that is still open; a start from before a later shift, or whose end has come, is kept as `late` and the \
            crew is not at work by it. Without an id it is 409 `shift_is_open` while the crew is on shift. Which time \
            counts is decided as for steps.
            """,
        parameters: [.deviceClock],
        body: .json(
            .object(
                [
                    Schema.Field("id", .nullable(.uuid), required: false, "Made by the client."), observed,
                    Schema.Field("lon", .nullable(.number(-180...180)), required: false),
                    Schema.Field("lat", .nullable(.number(-90...90)), required: false),
                ] + phone)),
        answers: [.created(.reference("Shift"))], idempotent: true)

    static let end = Operation(
        .post, "/v1/shifts/{id}/end", "The crew ends its shift; unstarted work goes back to the queue",
        access: .roles([.crew]),
        description: """
            The end of a shift that is over is no error: it is kept if none was told before, and answered as `late`. \
            With `observed_at` it may come before its start, and while a job is under way: the job stays with the \
            crew. Without, that is 409 `job_is_started`.
            """,
        parameters: [.deviceClock],
        body: .json(.object([observed] + phone)), answers: [.ok(.reference("Shift"))], idempotent: true)

    static func define(in document: inout OpenAPIDocument) {
        document.define("Crew", CrewView.schema)
        document.define("Shift", CrewShifts.Answer.schema)
    }
}

extension CrewShifts.Answer: Presentable {
    static let shown: [ShownField<CrewShifts.Answer>] = [
        .init("shift_id", .uuid) { $0.shift.shiftID },
        .init("crew_id", .uuid) { $0.shift.crewID },
        .init("started_at", .nullable(.time), "The time that counts; null until the start has come.") {
            $0.shift.startedAt
        },
        .init("start_observed_at", .nullable(.time), "By the phone's clock.") { $0.shift.start?.observedAt },
        .init("start_counted", .nullable(.word(ObservedTime.Counted.self))) { $0.shift.start?.counted },
        .init("start_counted_reason", .nullable(.string())) { $0.shift.start?.countedReason },
        .init(
            "ended_at", .nullable(.time),
            "The time that counts; until the end has come, when a later shift of the crew began."
        ) { $0.shift.endedAt },
        .init("end_observed_at", .nullable(.time), "By the phone's clock.") { $0.shift.end?.observedAt },
        .init("end_counted", .nullable(.word(ObservedTime.Counted.self))) { $0.shift.end?.counted },
        .init("end_counted_reason", .nullable(.string())) { $0.shift.end?.countedReason },
        .init(
            "outcome", .word(ShiftRecord.Told.Outcome.self), "`late`: kept, but the crew is not at work, or off, by it."
        ) { $0.outcome },
        .init("replayed", .boolean, "It had been told before; nothing was done again.") { $0.isReplay },
    ]
}
