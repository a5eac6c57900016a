import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// What a list of cases is asked for. The newest first; the cursor is the last row's (opened_at, case_id).
struct CaseFilter: Sendable {
    var districts: [UUID]?
    var states: [CaseState] = []
    var emergency: Bool?
    var street: Street.ID?
    var community: Community.ID?
    var category: String?
    var overdue: Bool?
    var since: Timestamp?
    /// west, south, east, north
    var box: (west: Double, south: Double, east: Double, north: Double)?
    /// Only cases that this crew has, or had, an order for.
    var crew: Crew.ID?
    var after: (openedAt: Timestamp, caseID: UUID)?
    var limit: Int
}

extension CaseStore {
    /// Each district by its own index, newest first, and the best of them together: a condition on several districts
    /// in one scan could not use the index's order.
    static func list(_ filter: CaseFilter, now: Timestamp) -> SQL {
        let districts: SQL
        if let ids = filter.districts {
            districts = "district AS (SELECT unnest(\(ids)) AS district_id)"
        } else {
            // Every district that has a case, one short look in the index for each.
            districts = """
                district AS (
                    (SELECT district_id FROM dispatch.case_file ORDER BY district_id LIMIT 1)
                    UNION ALL
                    SELECT (
                        SELECT c.district_id FROM dispatch.case_file c
                        WHERE c.district_id > district.district_id
                        ORDER BY c.district_id
                        LIMIT 1)
                    FROM district
                    WHERE district.district_id IS NOT NULL
                )
                """
        }
        let conditions = conditions(filter, now: now)
        return """
            WITH RECURSIVE \(districts)
            SELECT \(pageColumns), page.number
            FROM district
            CROSS JOIN LATERAL (
                (SELECT * FROM dispatch.case_file c
                 WHERE c.district_id = district.district_id AND \(conditions)
                 ORDER BY c.opened_at DESC, c.case_id DESC
                 LIMIT \(filter.limit))
                UNION ALL
                (SELECT * FROM dispatch.case_file c
                 WHERE c.responsible_district_id = district.district_id
                   AND c.responsible_district_id <> c.district_id AND \(conditions)
                 ORDER BY c.opened_at DESC, c.case_id DESC
                 LIMIT \(filter.limit))
            ) page
            WHERE district.district_id <> sluice.city()
            ORDER BY page.opened_at DESC, page.case_id DESC
            LIMIT \(filter.limit)
            """
    }
    private static let pageColumns = CaseRecord.CodingKeys.allCases.map { "page.\($0.rawValue)" }
        .joined(separator: ", ").asSQL

    private static func conditions(_ filter: CaseFilter, now: Timestamp) -> SQL {
        var all: [SQL] = ["NOT c.canary"]
        if !filter.states.isEmpty { all.append("c.state = ANY (\(filter.states.map(\.rawValue))::text[])") }
        if let emergency = filter.emergency {
            // As a bare condition, so that the partial index on emergencies can serve it.
            all.append(emergency ? "c.emergency" : "NOT c.emergency")
        }
        if let street = filter.street { all.append("c.street_id = \(street)") }
        if let community = filter.community { all.append("c.community_id = \(community)") }
        if let category = filter.category { all.append("c.category = \(category)") }
        if let since = filter.since { all.append("c.opened_at >= \(since)") }
        if let box = filter.box {
            all.append(
                "c.lon BETWEEN \(box.west) AND \(box.east) AND c.lat BETWEEN \(box.south) AND \(box.north)")
        }
        if let overdue = filter.overdue {
            let unmet: SQL = """
                c.state IN ('received', 'filed', 'dispatched', 'handling', 'reopened')
                AND ((c.respond_due <= \(now) AND c.responded_at IS NULL)
                     OR (c.arrive_due <= \(now) AND c.arrived_at IS NULL)
                     OR (c.resolve_due <= \(now) AND c.resolved_at IS NULL))
                """
            all.append(overdue ? "(\(unmet))" : "NOT coalesce(\(unmet), false)")
        }
        if let crew = filter.crew {
            all.append(
                "EXISTS (SELECT FROM dispatch.work_order o WHERE o.case_id = c.case_id AND o.crew_id = \(crew))")
        }
        if let after = filter.after {
            all.append("(c.opened_at, c.case_id) < (\(after.openedAt), \(after.caseID))")
        }
        return .joined(all, separator: " AND ")
    }
}
