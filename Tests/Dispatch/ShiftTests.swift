import Foundation
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("Shifts that a phone sends when it can")
struct ShiftTests {
    /// A crew at home, and its phone.
    private struct Scene: Sendable {
        var stage: Stage
        var caller: Caller
        var crew: Crew.ID
        var token: String

        func hours(ago hours: Int) -> Timestamp { stage.context.sources.now() - .seconds(hours * 3_600) }

        /// - Parameter clock: sends the phone's clock too, which is right.
        func start(
            _ id: UUID?, at observedAt: Timestamp?, place: Coordinate? = nil, clock: Bool = false, token: String? = nil
        ) async throws -> Answer {
            var fields = observation(observedAt, clock: clock)
            if let id { fields.append("\"id\":\"\(id)\"") }
            if let place { fields.append("\"lon\":\(place.lon),\"lat\":\(place.lat)") }
            return try await caller.post("/v1/shifts", token ?? self.token, "{\(fields.joined(separator: ","))}")
        }

        func end(
            _ id: UUID, at observedAt: Timestamp?, clock: Bool = false, token: String? = nil
        ) async throws -> Answer {
            let fields = observation(observedAt, clock: clock)
            return try await caller.post(
                "/v1/shifts/\(id)/end", token ?? self.token, "{\(fields.joined(separator: ","))}")
        }

        private func observation(_ observedAt: Timestamp?, clock: Bool) -> [String] {
            (observedAt.map { ["\"observed_at\":\"\($0)\""] } ?? [])
                + (clock ? ["\"device\":\"phone\",\"device_clock\":\"\(hours(ago: 0))\""] : [])
        }

        /// A first sync, as if it were of yesterday: from the next one on the phone's clock can be compared.
        func sync() async throws {
            let body = """
                {"lon":114.05,"lat":22.55,"observed_at":"\(hours(ago: 0))","device":"phone",
                 "device_clock":"\(hours(ago: 0))"}
                """
            #expect(try await caller.post("/v1/crews/\(crew)/position", token, body).status == 204)
            try await stage.admin.run(
                "UPDATE dispatch.phone_clock SET stable_since = stable_since - interval '1 day'")
        }

        func shiftOfSlot() async throws -> UUID? { try await stage.slot(crew).shiftID?.rawValue }

        func shifts() async throws -> Int {
            try await stage.count("SELECT count(*) FROM dispatch.shift WHERE crew_id = \(crew)")
        }
    }

    private func scene(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await Stage.with { stage in
            let account = Account.ID(UUID())
            let crew = try await stage.crew(account: account, onShift: false)
            let token = try stage.token([.crew], account: account)
            try await stage.serving { caller in
                try await body(Scene(stage: stage, caller: caller, crew: crew, token: token))
            }
        }
    }

    @Test("A start that is sent again is the same shift; another start under its id is refused")
    func startedTwice() async throws {
        try await scene { scene in
            let (id, at) = (UUID(), scene.hours(ago: 1))
            let first = try await scene.start(id, at: at, place: Stage.here)
            #expect(first.status == 201, "\(first.text)")
            #expect(first.string("shift_id") == id.uuidString.lowercased())
            #expect(first.string("outcome") == "applied" && first["replayed"] == .bool(false))
            let again = try await scene.start(id, at: at, place: Stage.here, clock: true)
            #expect(again.status == 201 && again["replayed"] == .bool(true), "\(again.text)")
            #expect(again.string("started_at") == first.string("started_at"))
            let elsewhere = try await scene.start(id, at: at)
            let later = try await scene.start(id, at: scene.hours(ago: 0), place: Stage.here)
            for refused in [elsewhere, later] {
                #expect(refused.status == 409 && refused.string("code") == "id_taken", "\(refused.text)")
            }
            #expect(try await scene.shifts() == 1)
            #expect(try await scene.shiftOfSlot() == id)
            // Who has no id asks, and is answered that it is so already.
            #expect(try await scene.start(nil, at: nil).string("code") == "shift_is_open")
        }
    }

    @Test("An end that is sent again, or by somebody else after it, is answered by what is kept")
    func endedTwice() async throws {
        try await scene { scene in
            let (id, at) = (UUID(), scene.hours(ago: 0))
            _ = try await scene.start(id, at: scene.hours(ago: 1))
            let first = try await scene.end(id, at: at)
            #expect(first.status == 200 && first.string("outcome") == "applied", "\(first.text)")
            #expect(try await scene.shiftOfSlot() == nil)
            let again = try await scene.end(id, at: at)
            #expect(again["replayed"] == .bool(true) && again.string("outcome") == "applied")
            let other = try await scene.end(id, at: scene.hours(ago: 2))
            #expect(other.status == 200 && other.string("outcome") == "late", "\(other.text)")
            let bare = try await scene.end(id, at: nil)
            #expect(bare.status == 200)
            for answer in [again, other, bare] {
                #expect(answer.string("ended_at") == first.string("ended_at"))
                #expect(answer.string("end_observed_at") == "\(at)")
            }
        }
    }

    @Test("A start that comes after its own end is kept, and nobody is sent out by it")
    func endedFirst() async throws {
        try await scene { scene in
            let id = UUID()
            try await scene.sync()
            let ended = try await scene.end(id, at: scene.hours(ago: 1), clock: true)
            #expect(ended.status == 200 && ended.string("outcome") == "late", "\(ended.text)")
            #expect(ended["started_at"] == .null)
            let at = scene.hours(ago: 9)
            let started = try await scene.start(id, at: at, place: Stage.here, clock: true)
            #expect(started.status == 201 && started.string("outcome") == "late", "\(started.text)")
            #expect(started.string("ended_at") == ended.string("ended_at"))
            #expect(started.string("start_counted") == "observed" && started.string("start_observed_at") == "\(at)")
            #expect(try await scene.shiftOfSlot() == nil)
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            #expect(try await scene.stage.claiming.claimEmergencies() == 0)
            let again = try await scene.start(id, at: at, place: Stage.here, clock: true)
            #expect(again["replayed"] == .bool(true) && again.string("outcome") == "late")
            // Without a time nobody has made this id.
            #expect(try await scene.end(UUID(), at: nil).status == 404)
            #expect(try await scene.shifts() == 1)
        }
    }

    @Test("Which time counts is decided as for steps, and both are kept")
    func times() async throws {
        try await scene { scene in
            let id = UUID()
            let started = try await scene.start(id, at: scene.hours(ago: 8), clock: true)
            #expect(started.string("start_counted_reason") == "first_sync")
            let ended = try await scene.end(id, at: scene.hours(ago: 0), clock: true)
            #expect(ended.string("end_counted_reason") == "clock_agrees", "\(ended.text)")
            let next = UUID()
            _ = try await scene.start(next, at: scene.hours(ago: 0), clock: true)
            let before = try await scene.end(next, at: scene.hours(ago: 1), clock: true)
            #expect(before.string("end_counted_reason") == "before_last_step", "\(before.text)")
            #expect(
                try await scene.stage.count(
                    """
                    SELECT count(*) FROM dispatch.shift
                    WHERE start_observed_at IS NOT NULL AND start_received_at IS NOT NULL
                      AND end_observed_at IS NOT NULL AND end_received_at IS NOT NULL
                    """) == 2)
        }
    }

    @Test("The later shift holds, in whichever order the starts come; an end that is missing is filled in")
    func twoShifts() async throws {
        try await scene { scene in
            try await scene.sync()
            let (first, second, third) = (UUID(), UUID(), UUID())
            let opened = try await scene.start(second, at: scene.hours(ago: 5), clock: true)
            #expect(opened.string("outcome") == "applied", "\(opened.text)")
            // The one before it, whose end is still on its way.
            let earlier = try await scene.start(first, at: scene.hours(ago: 9), clock: true)
            #expect(earlier.status == 201 && earlier.string("outcome") == "late", "\(earlier.text)")
            #expect(earlier.string("ended_at") == opened.string("started_at"))
            #expect(try await scene.shiftOfSlot() == second)
            // The one after it.
            let later = try await scene.start(third, at: scene.hours(ago: 2), clock: true)
            #expect(later.string("outcome") == "applied", "\(later.text)")
            #expect(try await scene.shiftOfSlot() == third)
            // Their ends: the phone's time counts, the time of reception would say less than what is known.
            let told = scene.hours(ago: 6)
            let filled = try await scene.end(first, at: told, clock: true)
            #expect(filled.status == 200 && filled.string("outcome") == "late", "\(filled.text)")
            #expect(filled.string("end_counted") == "observed" && filled.string("end_observed_at") == "\(told)")
            #expect(filled.string("ended_at") != earlier.string("ended_at"))
            let undated = try await scene.end(second, at: scene.hours(ago: 3))
            #expect(undated.string("ended_at") == later.string("started_at"), "\(undated.text)")
            #expect(try await scene.shiftOfSlot() == third)
            #expect(try await scene.end(third, at: scene.hours(ago: 0)).string("outcome") == "applied")
            #expect(try await scene.shiftOfSlot() == nil)
        }
    }

    @Test("An observed end is taken while a job is under way: the job stays with the crew, which gets no other")
    func endedAtWork() async throws {
        try await scene { scene in
            let id = UUID()
            _ = try await scene.start(id, at: scene.hours(ago: 1))
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            #expect(try await scene.stage.claiming.claimEmergencies() == 1)
            let order = try #require(try await scene.stage.orders().first)
            let steps = "/v1/orders/\(order.orderID)/steps"
            _ = try await scene.caller.post(steps, scene.token, Steps.body([Steps.step("en_route")]))
            let asked = try await scene.end(id, at: nil)
            #expect(asked.status == 409 && asked.string("code") == "job_is_started", "\(asked.text)")
            let told = try await scene.end(id, at: scene.hours(ago: 0))
            #expect(told.status == 200 && told.string("outcome") == "applied", "\(told.text)")
            var slot = try await scene.stage.slot(scene.crew)
            #expect(slot.shiftID == nil && slot.job?.orderID == order.orderID)
            let done = try await scene.caller.post(steps, scene.token, Steps.body([Steps.step("done")]))
            #expect(done.string("order.state") == "done", "\(done.text)")
            slot = try await scene.stage.slot(scene.crew)
            #expect(slot.job == nil && slot.shiftID == nil)
        }
    }

    @Test("Another crew's shift is not one's own to begin or to end")
    func others() async throws {
        try await scene { scene in
            let id = UUID()
            _ = try await scene.start(id, at: scene.hours(ago: 1))
            for district in [scene.stage.district, scene.stage.otherDistrict] {
                let account = Account.ID(UUID())
                try await scene.stage.crew("other", district: district, account: account, onShift: false)
                let token = try scene.stage.token([.crew], districts: [district], account: account)
                let taken = try await scene.start(id, at: scene.hours(ago: 1), token: token)
                #expect(taken.status == 409 && taken.string("code") == "id_taken", "\(taken.text)")
                #expect(try await scene.end(id, at: scene.hours(ago: 0), token: token).status == 404)
                #expect(try await scene.end(id, at: nil, token: token).status == 404)
            }
            #expect(try await scene.shiftOfSlot() == id)
        }
    }

    @Test("The place of a start that comes late does not hide where the crew was seen after it")
    func place() async throws {
        try await scene { scene in
            try await scene.sync()
            let there = Coordinate(lon: 114.2, lat: 22.6)
            _ = try await scene.start(UUID(), at: scene.hours(ago: 3), place: there)
            #expect(
                try await scene.stage.count(
                    "SELECT count(*) FROM dispatch.crew_position WHERE crew_id = \(scene.crew) AND lon = 114.05") == 1)
        }
    }
}
