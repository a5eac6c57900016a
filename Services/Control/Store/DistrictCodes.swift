internal import FoundationEssentials
internal import Model
internal import Postgres

/// Districts by the codes that people know.
struct DistrictCodes {
    let database: ControlDatabase

    /// Code by district id.
    func codes() async throws -> [UUID: String] {
        let rows = try await database.client.query(
            "SELECT place_id, code FROM gis.api_place WHERE level = 'district'")
        var codes: [UUID: String] = [District.city.rawValue: "city"]
        for row in rows { codes[try row.decode("place_id")] = try row.decode("code", as: String.self) }
        return codes
    }

    /// Throws for a code that there is none of, with those that there are.
    func ids(of wanted: [String]) async throws -> [District.ID] {
        let known = try await codes()
        let byCode = Dictionary(known.map { ($1, $0) }) { first, _ in first }
        return try wanted.map { code in
            guard let id = byCode[code] else {
                throw CommandFailure(
                    "there is no district \(code); there are \(byCode.keys.sorted().joined(separator: ", "))")
            }
            return District.ID(id)
        }
    }
}
