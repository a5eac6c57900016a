import FoundationEssentials
import Model
import Outbox
import Postgres

/// The statements on who the crews are: names, skills, members, loans.
enum CrewRegister {
    private static let shown: SQL = """
        c.crew_id, c.district_id, c.name, c.vehicle, c.skills, c.depot_lon, c.depot_lat, c.list_limit, c.active,
        c.version, s.shift_id, s.active_order, s.active_emergency, s.active_state, s.listed, p.lon, p.lat, p.observed_at,
        ARRAY (SELECT m.account_id FROM dispatch.crew_member m WHERE m.crew_id = c.crew_id ORDER BY 1) AS members,
        ARRAY (
            SELECT DISTINCT l.district_id FROM dispatch.crew_loan l
            WHERE l.crew_id = c.crew_id AND clock_timestamp() BETWEEN l.since AND l.until
            ORDER BY 1) AS lent_to
        """
    private static let sources: SQL = """
        dispatch.crew c
        JOIN dispatch.crew_slot s ON s.crew_id = c.crew_id
        JOIN dispatch.crew_position p ON p.crew_id = c.crew_id
        """

    /// - Parameter districts: nil for the whole city.
    static func list(districts: [UUID]?, crew: Crew.ID?, onShift: Bool?, after: UUID?, limit: Int) -> SQL {
        var conditions: [SQL] = ["NOT c.canary", "c.district_id <> sluice.city()"]
        if let districts { conditions.append("c.district_id = ANY (\(districts))") }
        if let crew { conditions.append("c.crew_id = \(crew)") }
        if let onShift { conditions.append(onShift ? "s.shift_id IS NOT NULL" : "s.shift_id IS NULL") }
        if let after { conditions.append("c.crew_id > \(after)") }
        return """
            SELECT \(shown) FROM \(sources)
            WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY c.crew_id
            LIMIT \(limit)
            """
    }

    static func one(_ crew: Crew.ID) -> SQL {
        "SELECT \(shown) FROM \(sources) WHERE c.crew_id = \(crew)"
    }

    static func lock(_ crew: Crew.ID) -> SQL {
        """
        SELECT district_id, version FROM dispatch.crew
        WHERE crew_id = \(crew) AND district_id <> sluice.city() FOR UPDATE
        """
    }

    static func insert(
        _ crew: Crew.ID, district: District.ID, name: String, vehicle: String?, skills: [String], lon: Double,
        lat: Double, listLimit: Int
    ) -> SQL {
        """
        INSERT INTO dispatch.crew (crew_id, district_id, name, vehicle, skills, depot_lon, depot_lat, list_limit)
        VALUES (\(crew), \(district), \(name), \(vehicle.postgresParameter), \(skills)::text[], \(lon), \(lat),
                \(listLimit))
        """
    }

    /// What is nil stays as it is.
    static func update(_ crew: Crew.ID, _ change: CrewChange, active: Bool?) -> SQL {
        """
        UPDATE dispatch.crew
        SET name = coalesce(\(change.name.postgresParameter), name),
            vehicle = coalesce(\(change.vehicle.postgresParameter), vehicle),
            skills = coalesce(\(change.skills.postgresParameter)::text[], skills),
            depot_lon = coalesce(\(change.depotLon.postgresParameter), depot_lon),
            depot_lat = coalesce(\(change.depotLat.postgresParameter), depot_lat),
            list_limit = coalesce(\(change.listLimit.postgresParameter)::integer, list_limit),
            active = coalesce(\(active.postgresParameter), active),
            version = version + 1, changed_at = clock_timestamp()
        WHERE crew_id = \(crew)
        """
    }

    /// These accounts and no others, each named once. An account that belonged to another crew moves, unless row-level
    /// security hides that crew: then the statement is refused.
    static func setMembers(_ accounts: [Account.ID], of crew: Crew.ID, district: District.ID) -> [SQL] {
        [
            "DELETE FROM dispatch.crew_member WHERE crew_id = \(crew) AND NOT account_id = ANY (\(accounts))",
            """
            INSERT INTO dispatch.crew_member (account_id, crew_id, district_id)
            SELECT account_id, \(crew), \(district) FROM unnest(\(accounts)) AS a (account_id)
            ON CONFLICT (account_id) DO UPDATE SET crew_id = excluded.crew_id, district_id = excluded.district_id
            """,
        ]
    }

    static func lend(
        _ crew: Crew.ID, loan: UUID, to district: District.ID, home: District.ID, since: Timestamp, until: Timestamp,
        by actor: String, reason: String?
    ) -> SQL {
        """
        INSERT INTO dispatch.crew_loan (
            loan_id, crew_id, district_id, responsible_district_id, since, until, lent_by, reason)
        VALUES (\(loan), \(crew), \(district), \(home), \(since), \(until), \(actor), \(reason.postgresParameter))
        """
    }
}
