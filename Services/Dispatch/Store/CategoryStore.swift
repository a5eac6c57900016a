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

    // MARK: - As the API shows them

    /// Categories that nobody can choose, see or change.
    static let hidden = ["sentinel", "canary"]

    /// - Parameter code: nil for all.
    static func shown(_ code: String?) -> SQL {
        let one: SQL = code.map { "code = \($0)" } ?? "NOT code = ANY (\(hidden))"
        return """
            SELECT code, version, active, kind, category_group, name_zh, name_en, severity, emergency_words,
                   emergency_places, always_emergency, merge_radius_m, merge_window_min, skills, respond_min, arrive_min,
                   resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min, storm_from, position
            FROM dispatch.category
            WHERE \(one)
            ORDER BY position, code
            """
    }

    static func lock(_ code: String) -> SQL {
        "SELECT version FROM dispatch.category WHERE code = \(code) FOR UPDATE"
    }

    /// The version after `version - 1`; a first one is 1.
    static func save(_ code: String, _ input: CategoryInput, version: Int, by actor: String) -> SQL {
        """
        WITH changed AS (
            INSERT INTO dispatch.category AS c (
                code, version, active, kind, category_group, name_zh, name_en, severity, emergency_words,
                emergency_places, always_emergency, merge_radius_m, merge_window_min, skills, respond_min, arrive_min,
                resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min, storm_from, position, changed_by)
            VALUES (
                \(code), \(version), \(input.active), \(input.kind.rawValue), \(input.categoryGroup), \(input.nameZH),
                \(input.nameEN), \(input.severity), \(input.emergencyWords)::text[],
                \(input.emergencyPlaces)::text[], \(input.alwaysEmergency), \(input.mergeRadius), \(input.mergeWindow),
                \(input.skills)::text[], \(input.respond), \(input.arrive), \(input.resolve), \(input.stormRespond),
                \(input.stormArrive), \(input.stormResolve), \((input.stormFrom ?? .yellow).rawValue),
                \(input.position ?? 0), \(actor))
            ON CONFLICT (code) DO UPDATE
            SET version = excluded.version, active = excluded.active, kind = excluded.kind,
                category_group = excluded.category_group, name_zh = excluded.name_zh, name_en = excluded.name_en,
                severity = excluded.severity, emergency_words = excluded.emergency_words,
                emergency_places = excluded.emergency_places, always_emergency = excluded.always_emergency,
                merge_radius_m = excluded.merge_radius_m, merge_window_min = excluded.merge_window_min,
                skills = excluded.skills, respond_min = excluded.respond_min, arrive_min = excluded.arrive_min,
                resolve_min = excluded.resolve_min, storm_respond_min = excluded.storm_respond_min,
                storm_arrive_min = excluded.storm_arrive_min, storm_resolve_min = excluded.storm_resolve_min,
                storm_from = excluded.storm_from, position = excluded.position, changed_by = excluded.changed_by,
                changed_at = clock_timestamp()
            WHERE c.version = excluded.version - 1
            RETURNING 1
        )
        SELECT dispatch.expect_rows((SELECT count(*) FROM changed), 1)
        """
    }
}
