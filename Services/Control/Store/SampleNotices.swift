extension SampleRows {
    /// Into notification: offices and the people on duty in them.
    func addOffices(_ city: SampleCity) async throws -> [SeededTable] {
        let offices = try await add(
            city.offices,
            """
            INSERT INTO notification.office (office_id, district_id, street_id, name_zh, name_en)
            SELECT office_id, district_id, street_id, name_zh, name_en
            FROM jsonb_to_recordset($1::jsonb) AS x (
                office_id uuid, district_id uuid, street_id uuid, name_zh text, name_en text)
            ON CONFLICT DO NOTHING
            """)
        let recipients = try await add(
            city.recipients,
            """
            INSERT INTO notification.recipient (recipient_id, office_id, district_id, level, account_id, name)
            SELECT recipient_id, office_id, district_id, level, account_id, name
            FROM jsonb_to_recordset($1::jsonb) AS x (
                recipient_id uuid, office_id uuid, district_id uuid, level smallint, account_id uuid, name text)
            ON CONFLICT DO NOTHING
            """)
        return [SeededTable("notification.office", offices), SeededTable("notification.recipient", recipients)]
    }
}
