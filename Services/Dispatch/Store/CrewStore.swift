import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// A row of `dispatch.crew_slot`: what binds the crew. Whoever holds its lock knows.
struct SlotRecord: Sendable, Hashable {
    var crewID: Crew.ID
    var districtID: District.ID
    var shiftID: Shift.ID?
    var job: CrewClaim.Job?
    var listed: Int
    var clearList: Bool
    var freeSince: Timestamp
    var unanswered: Int
}

extension SlotRecord {
    init(_ row: Row) throws {
        var job: CrewClaim.Job?
        if let order: WorkOrder.ID = try row.decode("active_order") {
            job = CrewClaim.Job(
                orderID: order, emergency: try row.decode("active_emergency"),
                severity: try row.decode("active_severity"), state: try row.decode("active_state"))
        }
        self.init(
            crewID: try row.decode("crew_id"), districtID: try row.decode("district_id"),
            shiftID: try row.decode("shift_id"), job: job, listed: try row.decode("listed"),
            clearList: try row.decode("clear_list"), freeSince: try row.decode("free_since"),
            unanswered: try row.decode("unanswered"))
    }
}

/// The statements on crews and what they are doing.
enum CrewStore {
    /// Crews whose lists are to be emptied.
    static let withListsToClear: SQL = "SELECT crew_id FROM dispatch.crew_slot WHERE clear_list"

    static let slotColumns: SQL = """
        crew_id, district_id, shift_id, active_order, active_emergency, active_severity, active_state, listed,
        clear_list, free_since, unanswered
        """

    static func lockSlots(_ crews: [Crew.ID]) -> SQL {
        "SELECT \(slotColumns) FROM dispatch.crew_slot WHERE crew_id = ANY (\(crews)) ORDER BY crew_id FOR UPDATE"
    }

    /// Those that nobody else holds.
    static func lockFreeSlots(_ crews: [Crew.ID]) -> SQL {
        """
        SELECT \(slotColumns) FROM dispatch.crew_slot WHERE crew_id = ANY (\(crews)) ORDER BY crew_id
        FOR UPDATE SKIP LOCKED
        """
    }

    /// Under the slot's lock, or guarded by what the slot says.
    static func save(_ slot: SlotRecord) -> SQL {
        let job = slot.job
        return """
            UPDATE dispatch.crew_slot
            SET shift_id = \(slot.shiftID.postgresParameter), active_order = \((job?.orderID).postgresParameter),
                active_emergency = \((job?.emergency).postgresParameter),
                active_severity = \((job?.severity.rawValue).postgresParameter)::smallint,
                active_state = \((job?.state).postgresParameter), listed = \(slot.listed),
                clear_list = \(slot.clearList), free_since = \(slot.freeSince), unanswered = \(slot.unanswered)
            WHERE crew_id = \(slot.crewID)
            """
    }

    /// The job that binds the crew has become more urgent. The guard: it must still be the crew's job.
    static func raiseActive(_ order: OrderRecord) -> SQL {
        """
        WITH changed AS (
            UPDATE dispatch.crew_slot
            SET active_emergency = \(order.emergency), active_severity = \(order.severity.rawValue)::smallint
            WHERE crew_id = \(order.crewID) AND active_order = \(order.orderID)
            RETURNING 1
        )
        SELECT dispatch.expect_rows((SELECT count(*) FROM changed), 1)
        """
    }

    /// So many orders more in each crew's list, under the slots' locks.
    static func addToLists(_ places: [Crew.ID: Int]) -> SQL {
        let crews = places.keys.sorted()
        return """
            UPDATE dispatch.crew_slot s SET listed = s.listed + more.places
            FROM unnest(\(crews)::uuid[], \(crews.map { Int32(places[$0] ?? 0) })::integer[]) AS more (crew_id, places)
            WHERE s.crew_id = more.crew_id
            """
    }

    /// One order less in the crew's list.
    static func unlist(_ crew: Crew.ID) -> SQL {
        "UPDATE dispatch.crew_slot SET listed = greatest(0, listed - 1) WHERE crew_id = \(crew)"
    }

    // MARK: - Candidates

    /// Crews that could take an emergency. The nearest free ones come by the index of positions, so that the cost does
    /// not grow with the number of crews; those that did not answer before, those on loan and those that would have to
    /// give up something are looked at besides, since the rule may want them. `district` and the rest name columns.
    static func candidates(lon: SQL, lat: SQL, district: SQL, skills: SQL, excluded: SQL, severity: SQL, canary: SQL)
        -> SQL
    {
        let columns: SQL = """
            s.crew_id, c.name, c.skills, c.list_limit, s.shift_id, s.active_order, s.active_emergency,
            s.active_severity, s.active_state, s.listed, s.clear_list, s.free_since, s.unanswered, s.district_id,
            p.lon AS crew_lon, p.lat AS crew_lat, c.district_id = \(district) AS is_home
            """
        let fits: SQL = """
            s.shift_id IS NOT NULL AND c.active AND c.canary = \(canary) AND \(skills) <@ c.skills
            AND NOT s.crew_id = ANY (\(excluded))
            """
        let distance: SQL = "p.location <-> ST_SetSRID(ST_MakePoint(\(lon), \(lat)), 4326)::geography"
        let displaceable: SQL = """
            s.active_emergency AND s.active_severity < \(severity) AND s.active_state IN ('assigned', 'accepted')
            """
        func eight(of tables: SQL, where condition: SQL, orderedBy order: SQL) -> SQL {
            """
            (SELECT \(columns)
             FROM \(tables)
             JOIN dispatch.crew c USING (crew_id)
             WHERE \(condition) AND \(fits)
             ORDER BY \(order)
             LIMIT 8)
            """
        }
        let places: SQL = "dispatch.crew_position p JOIN dispatch.crew_slot s USING (crew_id)"
        let slots: SQL = "dispatch.crew_slot s JOIN dispatch.crew_position p USING (crew_id)"
        let loans: SQL = """
            dispatch.crew_loan l JOIN dispatch.crew_slot s USING (crew_id) JOIN dispatch.crew_position p USING (crew_id)
            """
        let nearest = eight(
            of: places, where: "p.district_id = \(district) AND s.active_order IS NULL AND s.unanswered = 0",
            orderedBy: distance)
        let unanswering = eight(
            of: slots, where: "s.district_id = \(district) AND s.unanswered > 0 AND s.active_order IS NULL",
            orderedBy: "s.unanswered, \(distance)")
        let displaced = eight(
            of: slots, where: "s.district_id = \(district) AND \(displaceable)",
            orderedBy: "s.active_severity, \(distance)")
        let lent = eight(
            of: loans,
            where: """
                l.district_id = \(district) AND statement_timestamp() BETWEEN l.since AND l.until
                AND c.district_id <> \(district) AND (s.active_order IS NULL OR \(displaceable))
                """,
            orderedBy: "s.active_order IS NOT NULL, s.unanswered, \(distance)")
        return "\(nearest) UNION ALL \(unanswering) UNION ALL \(displaced) UNION ALL \(lent)"
    }

    /// Crews as candidates for what they were chosen for; their slots are read under their locks.
    static func offers(_ crews: [Crew.ID]) -> SQL {
        """
        SELECT c.crew_id, c.name, c.skills, c.list_limit, p.lon AS crew_lon, p.lat AS crew_lat,
               ARRAY (
                   SELECT c.district_id
                   UNION
                   SELECT l.district_id FROM dispatch.crew_loan l
                   WHERE l.crew_id = c.crew_id AND clock_timestamp() BETWEEN l.since AND l.until) AS districts
        FROM dispatch.crew c
        JOIN dispatch.crew_position p USING (crew_id)
        WHERE c.crew_id = ANY (\(crews)) AND c.active
        """
    }

    // MARK: - Positions and clocks of phones

    /// The last observation wins, whatever order they come in.
    static func savePosition(
        _ crew: Crew.ID, home: District.ID, at place: Coordinate, observedAt: Timestamp, receivedAt: Timestamp
    ) -> SQL {
        """
        INSERT INTO dispatch.crew_position AS p (crew_id, district_id, lon, lat, observed_at, received_at)
        VALUES (\(crew), \(home), \(place.lon), \(place.lat), \(observedAt), \(receivedAt))
        ON CONFLICT (crew_id) DO UPDATE
        SET lon = excluded.lon, lat = excluded.lat, observed_at = excluded.observed_at,
            received_at = excluded.received_at
        WHERE p.observed_at <= excluded.observed_at
        """
    }

    static func position(of crew: Crew.ID) -> SQL {
        "SELECT lon, lat FROM dispatch.crew_position WHERE crew_id = \(crew)"
    }

    static func phoneClock(_ crew: Crew.ID, device: String) -> SQL {
        "SELECT offset_ms, stable_since FROM dispatch.phone_clock WHERE crew_id = \(crew) AND device = \(device)"
    }

    /// What is noted before the clock was moved cannot be dated by it, so the time of the move is kept as well.
    static func savePhoneOffset(
        _ crew: Crew.ID, home: District.ID, device: String, offset: Duration, at: Timestamp
    ) -> SQL {
        """
        INSERT INTO dispatch.phone_clock AS p (crew_id, device, district_id, offset_ms, synced_at, stable_since)
        VALUES (\(crew), \(device), \(home), \(offset.microseconds / 1_000), \(at), \(at))
        ON CONFLICT (crew_id, device) DO UPDATE
        SET offset_ms = excluded.offset_ms, synced_at = excluded.synced_at,
            stable_since = CASE
                WHEN abs(excluded.offset_ms - p.offset_ms) <= \(ObservedTime.agreement.microseconds / 1_000)
                    THEN p.stable_since
                ELSE excluded.stable_since
            END
        """
    }
}

extension PhoneClock {
    init(_ row: Row) throws {
        self.init(
            offset: .milliseconds(try row.decode("offset_ms", as: Int.self)),
            stableSince: try row.decode("stable_since"))
    }
}

/// Who calls, and what the crew may see now.
struct CrewScope: Sendable {
    var crewID: Crew.ID
    var home: District.ID
    var districts: [UUID]

    static func find(_ account: Account.ID) -> SQL {
        "SELECT crew_id, home, districts FROM dispatch.crew_scope(\(account))"
    }

    init(_ row: Row) throws {
        crewID = try row.decode("crew_id")
        home = try row.decode("home")
        districts = try row.decode("districts")
    }
}
