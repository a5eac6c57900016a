import FoundationEssentials
import Model
import Outbox
import Postgres

struct OrderFilter: Sendable {
    var crew: Crew.ID?
    /// Nil for the whole city.
    var districts: [UUID]?
    var open: Bool?
    var after: UUID?
    var limit: Int
}

extension OrderStore {
    private static let listed: SQL = """
        \(OrderRecord.CodingKeys.allCases.map { "o.\($0.rawValue)" }.joined(separator: ", ").asSQL),
        c.lon, c.lat, c.category, c.number, c.person_at_risk, c.arrive_due, c.resolve_due
        """

    /// The newest first.
    static func list(_ filter: OrderFilter) -> SQL {
        var conditions: [SQL] = ["NOT o.canary", "o.district_id <> sluice.city()"]
        if let crew = filter.crew { conditions.append("o.crew_id = \(crew)") }
        if let districts = filter.districts { conditions.append("o.district_id = ANY (\(districts))") }
        if let open = filter.open {
            conditions.append(open ? "o.released_at IS NULL" : "o.released_at IS NOT NULL")
        }
        if let after = filter.after { conditions.append("o.order_id < \(after)") }
        return """
            SELECT \(listed)
            FROM dispatch.work_order o
            JOIN dispatch.case_file c ON c.case_id = o.case_id AND c.district_id = o.district_id
            WHERE \(SQL.joined(conditions, separator: " AND "))
            ORDER BY o.order_id DESC
            LIMIT \(filter.limit)
            """
    }

    static func one(_ order: WorkOrder.ID, crew: Crew.ID?) -> SQL {
        let own: SQL = crew.map { "o.crew_id = \($0)" } ?? "true"
        return """
            SELECT \(listed)
            FROM dispatch.work_order o
            JOIN dispatch.case_file c ON c.case_id = o.case_id AND c.district_id = o.district_id
            WHERE o.order_id = \(order) AND \(own)
            """
    }
}
