import FoundationEssentials
import Model
import Outbox
import Postgres

/// The SQL of the people of an office.
enum RecipientStore {
    /// What of a person may be changed; nil stays as it is.
    struct Change: Sendable {
        var level: Int?
        var name: String?
        var language: String?
        var account: Account.ID?
        var active: Bool?
    }

    private static let columns: SQL = """
        r.recipient_id, r.office_id, r.district_id, r.level, r.name, r.language, r.account_id, r.active, r.version
        """

    static func list(of office: Office.ID, after: UUID?, limit: Int) -> SQL {
        """
        SELECT \(columns)
        FROM notification.recipient r
        WHERE r.office_id = \(office) AND (\(after)::uuid IS NULL OR r.recipient_id > \(after)::uuid)
        ORDER BY r.recipient_id
        LIMIT \(limit + 1)::int
        """
    }

    static func one(_ id: Recipient.ID, of office: Office.ID) -> SQL {
        """
        SELECT \(columns)
        FROM notification.recipient r
        WHERE r.recipient_id = \(id) AND r.office_id = \(office)
        """
    }

    static func insert(
        _ id: Recipient.ID, office: Office.ID, district: District.ID, level: Int, name: String, language: String,
        account: Account.ID?
    ) -> SQL {
        """
        INSERT INTO notification.recipient (recipient_id, office_id, district_id, level, name, language, account_id)
        VALUES (\(id), \(office), \(district), \(level)::smallint, \(name), \(language), \(account))
        """
    }

    /// Nothing comes back if the version is another.
    static func update(_ id: Recipient.ID, of office: Office.ID, version: Int, _ change: Change) -> SQL {
        """
        UPDATE notification.recipient
        SET level = coalesce(\(change.level)::smallint, level), name = coalesce(\(change.name)::text, name),
            language = coalesce(\(change.language)::text, language),
            account_id = coalesce(\(change.account)::uuid, account_id),
            active = coalesce(\(change.active)::boolean, active), version = version + 1
        WHERE recipient_id = \(id) AND office_id = \(office) AND version = \(version)::bigint
        RETURNING version
        """
    }

    /// Takes back what is on its way to somebody who is not on duty, and ends their links; of anybody else nothing.
    static func takeBack(from id: Recipient.ID) -> [SQL] {
        [
            DeliveryStore.takeBack(
                from: """
                    SELECT c.channel_id
                    FROM notification.channel c
                    JOIN notification.recipient r ON r.recipient_id = c.recipient_id AND NOT r.active
                    WHERE c.recipient_id = \(id)
                    """),
            "SELECT notification.withdraw_links(\(id))",
        ]
    }
}
