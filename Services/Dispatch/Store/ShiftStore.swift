import FoundationEssentials
import Model
import Outbox
import Postgres

/// The statements on `dispatch.shift`.
enum ShiftStore {
    static func insert(_ shift: Shift.ID, crew: Crew.ID, home: District.ID, account: Account.ID, at: Timestamp) -> SQL {
        """
        INSERT INTO dispatch.shift (shift_id, crew_id, district_id, account_id, started_at)
        VALUES (\(shift), \(crew), \(home), \(account), \(at))
        """
    }

    static func find(_ shift: Shift.ID, crew: Crew.ID) -> SQL {
        "SELECT started_at, ended_at FROM dispatch.shift WHERE shift_id = \(shift) AND crew_id = \(crew) FOR UPDATE"
    }

    static func end(_ shift: Shift.ID, at: Timestamp) -> SQL {
        "UPDATE dispatch.shift SET ended_at = \(at) WHERE shift_id = \(shift)"
    }
}
