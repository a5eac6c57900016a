internal import FoundationEssentials
internal import Model
internal import ServiceKit

/// A crew that does over the HTTP API what people do with their phones: starts a shift, accepts what it is given, drives,
/// works, and says each step. Emergencies first, one job at a time.
struct SimulatedCrew: Sendable {
    /// How long things take, already divided by the drill's speed.
    struct Pace: Sendable {
        var travel: Duration
        var work: Duration
        var look: Duration

        /// Eight minutes on the way and fifteen at work in the storm's own time.
        init(speed: Double) {
            travel = .seconds(max(0.2, 480 / speed))
            work = .seconds(max(0.2, 900 / speed))
            look = .milliseconds(500)
        }
    }

    private struct Shift: Decodable {
        var shiftID: UUID

        private enum CodingKeys: String, CodingKey { case shiftID = "shift_id" }
    }

    private struct Order: Decodable {
        var orderID: UUID
        var version: Int
        var state: OrderState
        var emergency: Bool
        var lon: Double
        var lat: Double

        private enum CodingKeys: String, CodingKey {
            case version, state, emergency, lon, lat
            case orderID = "order_id"
        }
    }

    private struct Start: Encodable {
        var lon: Double
        var lat: Double
    }

    private struct Steps: Encodable {
        struct Step: Encodable {
            var id: UUID
            var kind: String
            var observedAt: Timestamp
            var basedOn: Int
            var note: String?

            private enum CodingKeys: String, CodingKey {
                case id, kind, note
                case observedAt = "observed_at"
                case basedOn = "based_on"
            }
        }

        var steps: [Step]
    }

    let client: CityClient
    let crew: SampleCrew
    let drill: String
    let pace: Pace
    let tally: DrillTally

    /// Works until the task is cancelled or `isOver` says so, then ends the shift.
    func work(until isOver: @escaping @Sendable () async -> Bool) async {
        let shift = await startShift()
        /// When each order may take its next step.
        var ready: [UUID: ContinuousClock.Instant] = [:]
        while !Task.isCancelled {
            if await isOver() { break }
            do {
                let page: CityClient.Page<Order> = try await client.get("/v1/orders?open=true&limit=50")
                try await advance(page.items, &ready)
            } catch {
                await tally.note("crew", error)
            }
            try? await Task.sleep(for: pace.look)
        }
        if let shift {
            do {
                let _: CityClient.NoAnswer = try await client.post(
                    "/v1/shifts/\(shift.uuidString.lowercased())/end", [String: String](),
                    key: "drill-\(drill)-end-\(crew.login)")
            } catch {
                await tally.note("end of a shift", error)
            }
        }
    }

    private func startShift() async -> UUID? {
        do {
            let shift: Shift = try await client.post(
                "/v1/shifts", Start(lon: crew.depotLon, lat: crew.depotLat),
                key: "drill-\(drill)-shift-\(crew.login)")
            return shift.shiftID
        } catch let refusal as CityClient.Refusal where refusal.code == "shift_is_open" {
            // On shift already, from somebody else's beginning: theirs to end.
            return nil
        } catch {
            await tally.note("start of a shift", error)
            return nil
        }
    }

    /// Accepts everything that is new; goes on with the job in hand, else begins the most urgent one.
    private func advance(_ orders: [Order], _ ready: inout [UUID: ContinuousClock.Instant]) async throws {
        for order in orders where order.state == .assigned {
            try await step("accept", order)
            await tally.stepped("accepted")
        }
        let accepted = orders.filter { !$0.state.isReleased && $0.state != .planned }
        let inHand = accepted.first { $0.state.isStarted }
        let next = inHand ?? accepted.first { $0.emergency } ?? accepted.first
        guard let job = next else { return }
        switch job.state {
        case .assigned, .accepted:
            // Accepted above, so one version on.
            var moved = job
            if job.state == .assigned { moved.version += 1 }
            try await step("en_route", moved)
            ready[job.orderID] = .now + pace.travel
        case .enRoute where isReady(job, ready, pace.travel):
            try await step("on_site", job)
            ready[job.orderID] = .now + pace.work
        case .onSite where isReady(job, ready, pace.work):
            try await step("done", job)
            await tally.stepped("done")
            ready[job.orderID] = nil
        default: break
        }
    }

    private func isReady(_ order: Order, _ ready: [UUID: ContinuousClock.Instant], _ wait: Duration) -> Bool {
        guard let time = ready[order.orderID] else { return true }
        return ContinuousClock.now >= time
    }

    private func step(_ kind: String, _ order: Order) async throws {
        let sources = Sources.system
        let now = sources.now()
        let id = sources.randomUUID(now)
        let _: CityClient.NoAnswer = try await client.post(
            "/v1/orders/\(order.orderID.uuidString.lowercased())/steps",
            Steps(steps: [
                Steps.Step(
                    id: id, kind: kind, observedAt: now, basedOn: order.version,
                    note: kind == "done" ? "演练" : nil)
            ]), key: "drill-\(id.uuidString.lowercased())")
    }
}
