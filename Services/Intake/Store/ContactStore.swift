import FoundationEssentials
import Model
import Postgres

/// Sealed contacts, and the log of who looked at one, or erased it, and why.
struct ContactStore: Sendable {
    let database: PostgresClient

    /// What a look finds.
    enum Found: Sendable {
        case sealed([UInt8], wrappedKey: [UInt8], personID: UUID)
        /// The person's key was destroyed.
        case erased
        /// This account has looked often enough for now.
        case tooOften
    }

    /// Logs a look and answers with what is sealed. The log's row has committed before anybody sees anything; a look at a
    /// contact that was erased is logged as well.
    /// - Returns: nil if the report has no contact, or is outside the scope.
    func look(
        at report: Report.ID, by account: Account.ID, purpose: String, id: UUID, hourlyLimit: Int, scope: DistrictScope
    ) async throws -> Found? {
        try await database.transaction(scope: scope) { transaction in
            // One account's looks are counted one after the other.
            let answers = try await transaction.send([
                "SELECT pg_advisory_xact_lock(hashtextextended('contact_look ' || \(account)::uuid::text, 0))",
                """
                SELECT count(*)::int AS looks FROM intake.contact_look
                WHERE account_id = \(account) AND act = 'look' AND at > clock_timestamp() - interval '1 hour'
                """,
                """
                SELECT c.sealed, c.person_id, c.district_id, p.wrapped_key
                FROM intake.contact c
                JOIN intake.person p USING (person_id)
                WHERE c.report_id = \(report)
                """,
            ])
            guard let row = answers[2].first else { return nil }
            guard try answers[1][0].decode("looks", as: Int.self) < hourlyLimit else { return .tooOften }
            let (personID, district) = (
                try row.decode("person_id", as: UUID.self), try row.decode("district_id", as: UUID.self)
            )
            try await transaction.commit([
                """
                INSERT INTO intake.contact_look (look_id, report_id, district_id, person_id, account_id, purpose)
                VALUES (\(id), \(report), \(district), \(personID), \(account), \(purpose))
                """
            ])
            guard let key = try row.decode("wrapped_key", as: Bytes?.self) else { return .erased }
            return .sealed(try row.decode("sealed", as: Bytes.self).bytes, wrappedKey: key.bytes, personID: personID)
        }
    }

    // MARK: - Erasing

    /// The sealed contact of a report's sender, with the lock on its person.
    static func lockPerson(of report: Report.ID) -> SQL {
        """
        SELECT c.sealed, p.person_id, p.wrapped_key
        FROM intake.contact c
        JOIN intake.person p USING (person_id)
        WHERE c.report_id = \(report)
        FOR UPDATE OF p
        """
    }

    /// Destroys the person's key, what it sealed and the hash by which it was found, and logs it for each report.
    /// - Parameter everywhere: in all reports with the same telephone number or mail address.
    static func erase(_ person: UUID, everywhere: Bool, by account: Account.ID, purpose: String) -> SQL {
        """
        WITH person AS (
            UPDATE intake.person
            SET wrapped_key = NULL, erased_at = clock_timestamp(), lookup_hash = decode(repeat('00', 32), 'hex')
            WHERE wrapped_key IS NOT NULL AND (person_id = \(person) OR (\(everywhere) AND lookup_hash = (
                SELECT p.lookup_hash FROM intake.person p WHERE p.person_id = \(person))))
            RETURNING person_id
        ), contact AS (
            UPDATE intake.contact c SET sealed = ''
            FROM person
            WHERE c.person_id = person.person_id
            RETURNING c.report_id, c.district_id, c.person_id
        ), logged AS (
            INSERT INTO intake.contact_look (look_id, report_id, district_id, person_id, account_id, purpose, act)
            SELECT sluice.uuid_v7(clock_timestamp()), report_id, district_id, person_id, \(account), \(purpose), 'erase'
            FROM contact
        )
        SELECT count(*)::int AS reports FROM contact
        """
    }

    // MARK: - The log

    /// Who looked at a report's contact or erased it, newest first, one more than the page holds.
    func looks(at report: Report.ID?, districts: [UUID]?, after: UUID?, limit: Int, scope: DistrictScope) async throws
        -> Rows
    {
        try await database.query(
            """
            SELECT l.look_id, l.report_id, l.district_id, l.account_id, a.display_name, l.act, l.purpose, l.at
            FROM intake.contact_look l
            LEFT JOIN intake.account a USING (account_id)
            WHERE (\(report?.rawValue)::uuid IS NULL OR l.report_id = \(report?.rawValue)::uuid)
              AND (\(districts)::uuid[] IS NULL OR l.district_id = ANY (\(districts)::uuid[]))
              AND (\(after)::uuid IS NULL OR l.look_id < \(after)::uuid)
            ORDER BY l.look_id DESC
            LIMIT \(limit + 1)::int
            """, scope: scope)
    }
}
