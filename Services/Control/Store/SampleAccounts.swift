extension SampleRows {
    /// Into intake: accounts. All have the demonstration password; one that was changed stays changed.
    func addAccounts(_ city: SampleCity, passwordHash: String) async throws -> [SeededTable] {
        let accounts = try await add(
            city.accounts,
            """
            INSERT INTO intake.account (account_id, login, display_name, roles, districts, password_hash)
            SELECT account_id, login, display_name, roles, districts, $2
            FROM jsonb_to_recordset($1::jsonb) AS x (
                account_id uuid, login text, display_name text, roles text[], districts uuid[])
            ON CONFLICT DO NOTHING
            """, [passwordHash])
        return [SeededTable("intake.account", accounts)]
    }
}
