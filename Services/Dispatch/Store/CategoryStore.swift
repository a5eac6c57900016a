import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

enum CategoryStore {
    static let all: SQL = """
        SELECT code, version, category_group, merge_radius_m, merge_window_min, skills, respond_min, arrive_min,
               resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min, storm_from
        FROM dispatch.category
        """

    /// Every set of skills that any version ever asked for: a case may wait under an old one.
    static let skillSets: SQL = """
        SELECT DISTINCT array_to_string(ARRAY (
            SELECT jsonb_array_elements_text(body -> 'skills') ORDER BY 1), ',') AS skill_key
        FROM dispatch.category_version
        """

    static func terms(_ row: Row) throws -> CategoryTerms {
        CategoryTerms(
            code: try row.decode("code"), version: try row.decode("version"), group: try row.decode("category_group"),
            mergeRadius: Metres(Double(try row.decode("merge_radius_m", as: Int.self))),
            mergeWindowMinutes: try row.decode("merge_window_min"), skills: try row.decode("skills"),
            clocks: ClockMinutes(
                respond: try row.decode("respond_min"), arrive: try row.decode("arrive_min"),
                resolve: try row.decode("resolve_min")),
            stormClocks: ClockMinutes(
                respond: try row.decode("storm_respond_min"), arrive: try row.decode("storm_arrive_min"),
                resolve: try row.decode("storm_resolve_min")),
            stormFrom: try row.decode("storm_from"))
    }

    static func stormLevels(_ districts: [District.ID]) -> SQL {
        "SELECT district_id, level FROM dispatch.storm_level WHERE district_id = ANY (\(districts))"
    }
}
