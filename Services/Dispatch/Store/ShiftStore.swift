import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// A row of `dispatch.shift`: when a crew was at work, and what its phones said of it.
struct ShiftRecord: Sendable, Hashable {
    /// What was said of the beginning, or of the end.
    struct Told: Sendable, Hashable {
        enum Outcome: String, Codable, Sendable, CaseIterable {
            /// The crew is at work by it, or no longer.
            case applied
            /// Kept; whether the crew is at work had been decided by what came before.
            case late
        }

        /// By the phone's clock.
        var observedAt: Timestamp?
        var receivedAt: Timestamp
        var counted: ObservedTime.Counted
        var countedReason: String
        var outcome: Outcome
    }

    var shiftID: Shift.ID
    var crewID: Crew.ID
    /// Nil until the start has come: the end may come first.
    var startedAt: Timestamp?
    var start: Told?
    /// Where it began.
    var place: Coordinate?
    /// While nobody has told the end: when a later shift of the crew began.
    var endedAt: Timestamp?
    var end: Told?
}

extension ShiftRecord {
    init(_ row: Row) throws {
        shiftID = try row.decode("shift_id")
        crewID = try row.decode("crew_id")
        startedAt = try row.decode("started_at")
        start = try Told(row, "start")
        if let lon: Double = try row.decode("start_lon"), let lat: Double = try row.decode("start_lat") {
            place = Coordinate(lon: lon, lat: lat)
        }
        endedAt = try row.decode("ended_at")
        end = try Told(row, "end")
    }
}

extension ShiftRecord.Told {
    fileprivate init?(_ row: Row, _ what: String) throws {
        guard let receivedAt: Timestamp = try row.decode("\(what)_received_at") else { return nil }
        self.init(
            observedAt: try row.decode("\(what)_observed_at"), receivedAt: receivedAt,
            counted: try row.decode("\(what)_counted"), countedReason: try row.decode("\(what)_counted_reason"),
            outcome: try row.decode("\(what)_outcome"))
    }
}

/// The statements on `dispatch.shift`. All are under the lock of the crew's slot.
enum ShiftStore {
    /// Of two crews that take the same id the second meets it.
    static let constraint = "shift_pkey"

    private static let columns: SQL = """
        shift_id, crew_id, started_at, start_observed_at, start_received_at, start_counted, start_counted_reason,
        start_outcome, start_lon, start_lat, ended_at, end_observed_at, end_received_at, end_counted,
        end_counted_reason, end_outcome
        """

    static func find(_ shift: Shift.ID, crew: Crew.ID) -> SQL {
        "SELECT \(columns) FROM dispatch.shift WHERE shift_id = \(shift) AND crew_id = \(crew) FOR UPDATE"
    }

    /// The crew's first shift that began later.
    static func next(of crew: Crew.ID, after time: Timestamp) -> SQL {
        """
        SELECT started_at FROM dispatch.shift
        WHERE crew_id = \(crew) AND started_at > \(time)
        ORDER BY started_at
        LIMIT 1
        """
    }

    static func insert(_ shift: ShiftRecord, home: District.ID, account: Account.ID) -> SQL {
        let (start, end) = (shift.start, shift.end)
        return """
            INSERT INTO dispatch.shift (district_id, account_id, \(columns))
            VALUES (\(home), \(account), \(shift.shiftID), \(shift.crewID), \(shift.startedAt), \(start?.observedAt),
                    \(start?.receivedAt), \(start?.counted.rawValue), \(start?.countedReason),
                    \(start?.outcome.rawValue), \(shift.place?.lon), \(shift.place?.lat), \(shift.endedAt),
                    \(end?.observedAt), \(end?.receivedAt), \(end?.counted.rawValue), \(end?.countedReason),
                    \(end?.outcome.rawValue))
            """
    }

    static func setStart(_ shift: ShiftRecord) -> SQL {
        let start = shift.start
        return """
            UPDATE dispatch.shift
            SET started_at = \(shift.startedAt), start_observed_at = \(start?.observedAt),
                start_received_at = \(start?.receivedAt), start_counted = \(start?.counted.rawValue),
                start_counted_reason = \(start?.countedReason), start_outcome = \(start?.outcome.rawValue),
                start_lon = \(shift.place?.lon), start_lat = \(shift.place?.lat)
            WHERE shift_id = \(shift.shiftID)
            """
    }

    static func setEnd(_ shift: ShiftRecord) -> SQL {
        let end = shift.end
        return """
            UPDATE dispatch.shift
            SET ended_at = \(shift.endedAt), end_observed_at = \(end?.observedAt), end_received_at = \(end?.receivedAt),
                end_counted = \(end?.counted.rawValue), end_counted_reason = \(end?.countedReason),
                end_outcome = \(end?.outcome.rawValue)
            WHERE shift_id = \(shift.shiftID)
            """
    }

    /// A later shift of the crew began at that time.
    static func closeOpen(of crew: Crew.ID, at time: Timestamp) -> SQL {
        """
        UPDATE dispatch.shift SET ended_at = greatest(started_at, \(time)::timestamptz)
        WHERE crew_id = \(crew) AND ended_at IS NULL
        """
    }
}
