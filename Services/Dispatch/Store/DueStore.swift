import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// The durable clock rows: what a case's next unmet clock is, and the marks of those that ran out.
enum DueStore {
    private struct Row: Encodable {
        var caseID: Case.ID
        var districtID: District.ID
        var clock: CaseClocks.Clock
        var dueAt: Timestamp

        enum CodingKeys: String, CodingKey {
            case caseID = "case_id"
            case districtID = "district_id"
            case clock
            case dueAt = "due_at"
        }
    }

    /// Makes the rows say what the records say now.
    /// - Parameter now: clocks that had run out by then are left out. Only for whoever marks them: a clock that ran out
    ///   just before some other change must stay ripe until it has its mark.
    static func set(_ records: [CaseRecord], markedUntil now: Timestamp? = nil) throws -> [SQL] {
        var kept: [Row] = []
        var gone: [Case.ID] = []
        for record in records {
            var next = record.nextDue
            if let now, next != nil {
                var times = record.times
                for clock in CaseClocks.overdue(times, now: now) { times.due[clock] = nil }
                next = CaseClocks.next(times)
            }
            if let next {
                kept.append(
                    Row(caseID: record.caseID, districtID: record.districtID, clock: next.clock, dueAt: next.at))
            } else {
                gone.append(record.caseID)
            }
        }
        var statements: [SQL] = []
        if !kept.isEmpty {
            statements.append(
                """
                INSERT INTO dispatch.due AS d (case_id, district_id, clock, due_at)
                SELECT case_id, district_id, clock, due_at
                FROM json_populate_recordset(NULL::dispatch.due, \(try RecordText.text(of: kept))::json)
                ON CONFLICT (case_id) DO UPDATE SET clock = excluded.clock, due_at = excluded.due_at
                WHERE (d.clock, d.due_at) IS DISTINCT FROM (excluded.clock, excluded.due_at)
                """)
        }
        if !gone.isEmpty { statements.append("DELETE FROM dispatch.due WHERE case_id = ANY (\(gone))") }
        return statements
    }

    /// Cases of which a clock has run out.
    static func ripe(now: Timestamp, limit: Int) -> SQL {
        "SELECT case_id FROM dispatch.due WHERE due_at <= \(now) ORDER BY due_at LIMIT \(limit)"
    }

    /// Rows of cases that are no longer there.
    static func dropOrphans(_ cases: [Case.ID]) -> [SQL] {
        [
            """
            DELETE FROM dispatch.due d
            WHERE d.case_id = ANY (\(cases)) AND NOT EXISTS (SELECT FROM dispatch.case_file c WHERE c.case_id = d.case_id)
            """
        ]
    }

    static func marks(of cases: [Case.ID]) -> SQL {
        """
        SELECT case_id, clock, due_at FROM dispatch.overdue_mark
        WHERE case_id = ANY (\(cases)) AND withdrawn_at IS NULL
        """
    }

    static func mark(_ record: CaseRecord, _ clock: CaseClocks.Clock, due: Timestamp, now: Timestamp) -> SQL {
        """
        INSERT INTO dispatch.overdue_mark (case_id, clock, due_at, district_id, raised_at)
        VALUES (\(record.caseID), \(clock.rawValue), \(due), \(record.districtID), \(now))
        ON CONFLICT (case_id, clock, due_at) DO NOTHING
        """
    }

    /// The marks of these clocks no longer hold.
    static func withdraw(_ caseID: Case.ID, _ clock: CaseClocks.Clock, reason: Reason, now: Timestamp) -> SQL {
        """
        UPDATE dispatch.overdue_mark
        SET withdrawn_at = \(now), withdrawn_reason = \(reason.code)
        WHERE case_id = \(caseID) AND clock = \(clock.rawValue) AND withdrawn_at IS NULL
        """
    }
}
