import Model
import Postgres
import Rules

/// A crew as a candidate, with what an order says of it.
struct CrewOffer: Sendable {
    var name: String
    var candidate: CrewClaim.Candidate

    /// A row of `QueueStore.firstEmergencies`: the query has seen to skills and districts, which the rule sees again.
    init(_ row: Row, for wanted: QueueRecord) throws {
        try self.init(row, slot: SlotRecord(row), districts: [wanted.districtID], for: wanted)
    }

    /// A row of `CrewStore.offers`.
    init(list row: Row, slot: SlotRecord, for wanted: QueueRecord) throws {
        try self.init(row, slot: slot, districts: Set(row.decode("districts", as: [District.ID].self)), for: wanted)
    }

    private init(_ row: Row, slot: SlotRecord, districts: Set<District.ID>, for wanted: QueueRecord) throws {
        name = try row.decode("name")
        candidate = CrewClaim.Candidate(
            crewID: slot.crewID, onShift: slot.shiftID != nil, skills: Set(try row.decode("skills", as: [String].self)),
            districts: districts, job: slot.job, listed: slot.listed, listLimit: try row.decode("list_limit"),
            distance: Geodesy.distance(
                Coordinate(lon: try row.decode("crew_lon"), lat: try row.decode("crew_lat")), wanted.place),
            unanswered: slot.unanswered)
    }

    func with(_ slot: SlotRecord) -> CrewClaim.Candidate {
        var candidate = candidate
        candidate.onShift = slot.shiftID != nil
        candidate.job = slot.job
        candidate.listed = slot.listed
        candidate.unanswered = slot.unanswered
        return candidate
    }
}
