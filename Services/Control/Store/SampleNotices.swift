internal import FoundationEssentials
internal import NotificationService

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

    private struct SealedChannel: Encodable {
        var channelId: UUID
        var recipientId: UUID
        var districtId: UUID
        /// Sealed, in hexadecimal.
        var address: String
    }

    /// A mail address for each recipient, sealed as notification reads it.
    func addChannels(_ city: SampleCity, keys: NotificationKeys) async throws -> [SeededTable] {
        let channels = try city.recipients.map { recipient in
            SealedChannel(
                channelId: recipient.channelId, recipientId: recipient.recipientId, districtId: recipient.districtId,
                address: Self.hexadecimal(try keys.seal(recipient.mail)))
        }
        let added = try await add(
            channels,
            """
            INSERT INTO notification.channel (channel_id, recipient_id, district_id, kind, address)
            SELECT channel_id, recipient_id, district_id, 'mail', decode(address, 'hex')
            FROM jsonb_to_recordset($1::jsonb) AS x (
                channel_id uuid, recipient_id uuid, district_id uuid, address text)
            ON CONFLICT DO NOTHING
            """)
        return [SeededTable("notification.channel", added)]
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}
