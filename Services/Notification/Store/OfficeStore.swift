import FoundationEssentials
import Model
import Outbox
import Postgres

/// The SQL of offices, recipients and channels.
enum OfficeStore {
    /// Everybody who may have to be told of these cases: the active offices of their streets and districts with their
    /// active recipients and the recipients' channels.
    static func contacts(for cases: some Sequence<CaseSnapshot>) -> SQL {
        let districts = Set(cases.map(\.districtID.rawValue)).sorted()
        let streets = Set(cases.compactMap(\.streetID?.rawValue)).sorted()
        return """
            SELECT o.office_id, o.district_id, o.street_id, r.recipient_id, r.level,
                   ARRAY (SELECT c.channel_id FROM notification.channel c
                          WHERE c.recipient_id = r.recipient_id AND c.active ORDER BY c.channel_id) AS channels,
                   ARRAY (SELECT c.kind FROM notification.channel c
                          WHERE c.recipient_id = r.recipient_id AND c.active ORDER BY c.channel_id) AS kinds
            FROM notification.office o
            LEFT JOIN notification.recipient r ON r.office_id = o.office_id AND r.active
            WHERE o.active AND o.district_id = ANY (\(districts)::uuid[])
              AND (o.street_id IS NULL OR o.street_id = ANY (\(streets)::uuid[]))
            ORDER BY o.office_id, r.level, r.recipient_id
            """
    }

    /// The offices that an account belongs to.
    static func offices(of account: Account.ID) -> SQL {
        """
        SELECT DISTINCT r.office_id FROM notification.recipient r WHERE r.account_id = \(account) AND r.active
        """
    }

    static func list(districts: [UUID]?, after: UUID?, limit: Int) -> SQL {
        """
        SELECT o.office_id, o.district_id, o.street_id, o.name_zh, o.name_en, o.version, o.active,
               coalesce((SELECT jsonb_agg(jsonb_build_object(
                                    'id', r.recipient_id, 'level', r.level, 'name', r.name, 'language', r.language,
                                    'account_id', r.account_id, 'active', r.active, 'version', r.version)
                                    ORDER BY r.level, r.recipient_id)
                         FROM notification.recipient r WHERE r.office_id = o.office_id), '[]') AS recipients
        FROM notification.office o
        WHERE o.office_id <> sluice.city()
          AND (\(districts)::uuid[] IS NULL OR o.district_id = ANY (\(districts)::uuid[]))
          AND (\(after)::uuid IS NULL OR o.office_id > \(after)::uuid)
        ORDER BY o.office_id
        LIMIT \(limit + 1)::int
        """
    }

    static func one(_ id: Office.ID) -> SQL {
        """
        SELECT o.office_id, o.district_id, o.street_id, o.name_zh, o.name_en, o.version, o.active,
               coalesce((SELECT jsonb_agg(jsonb_build_object(
                                    'id', r.recipient_id, 'level', r.level, 'name', r.name, 'language', r.language,
                                    'account_id', r.account_id, 'active', r.active, 'version', r.version)
                                    ORDER BY r.level, r.recipient_id)
                         FROM notification.recipient r WHERE r.office_id = o.office_id), '[]') AS recipients
        FROM notification.office o
        WHERE o.office_id = \(id)
        """
    }

    static func insert(
        _ id: Office.ID, district: District.ID, street: Street.ID?, nameZH: String, nameEN: String
    ) -> SQL {
        """
        INSERT INTO notification.office (office_id, district_id, street_id, name_zh, name_en)
        VALUES (\(id), \(district), \(street), \(nameZH), \(nameEN))
        """
    }

    /// Nothing comes back if the version is another.
    static func update(_ id: Office.ID, version: Int, nameZH: String?, nameEN: String?, active: Bool?) -> SQL {
        """
        UPDATE notification.office
        SET name_zh = coalesce(\(nameZH)::text, name_zh), name_en = coalesce(\(nameEN)::text, name_en),
            active = coalesce(\(active)::boolean, active), version = version + 1
        WHERE office_id = \(id) AND version = \(version)::bigint
        RETURNING version
        """
    }

    static func recipient(_ id: Recipient.ID) -> SQL {
        "SELECT recipient_id, office_id, district_id, name, language FROM notification.recipient WHERE recipient_id = \(id)"
    }

    static func insertChannel(
        _ id: UUID, recipient: Recipient.ID, district: District.ID, kind: ChannelKind, address: [UInt8],
        secret: [UInt8]?
    ) -> SQL {
        """
        INSERT INTO notification.channel (channel_id, recipient_id, district_id, kind, address, secret)
        VALUES (\(id), \(recipient), \(district), \(kind), \(address), \(secret))
        """
    }

    static func channels(districts: [UUID]?, after: UUID?, limit: Int) -> SQL {
        """
        SELECT c.channel_id, c.recipient_id, c.district_id, c.kind, c.active, c.version, c.address,
               c.previous_until IS NOT NULL AND c.previous_until > clock_timestamp() AS rotating
        FROM notification.channel c
        WHERE (\(districts)::uuid[] IS NULL OR c.district_id = ANY (\(districts)::uuid[]))
          AND (\(after)::uuid IS NULL OR c.channel_id > \(after)::uuid)
        ORDER BY c.channel_id
        LIMIT \(limit + 1)::int
        """
    }

    static func channel(_ id: UUID) -> SQL {
        """
        SELECT c.channel_id, c.recipient_id, c.district_id, c.kind, c.active, c.version, c.address, c.secret,
               CASE WHEN c.previous_until > clock_timestamp() THEN c.previous_secret END AS previous_secret
        FROM notification.channel c WHERE c.channel_id = \(id)
        """
    }
}

/// The offices of some streets and districts and who is on duty in them.
struct Contacts: Sendable {
    struct Channel: Sendable, Hashable {
        var id: UUID
        var kind: String
    }

    struct Person: Sendable, Hashable {
        var id: Recipient.ID
        var level: Int
        var channels: [Channel]
    }

    struct Desk: Sendable, Hashable {
        var office: Office.ID
        var district: District.ID
        var street: Street.ID?
        var people: [Person] = []
    }

    var desks: [Desk] = []

    init(_ rows: Rows) throws {
        for row in rows {
            let office: Office.ID = try row.decode("office_id")
            if desks.last?.office != office {
                desks.append(
                    Desk(
                        office: office, district: try row.decode("district_id"),
                        street: try row.decode("street_id", as: Street.ID?.self)))
            }
            guard let person = try row.decode("recipient_id", as: Recipient.ID?.self) else { continue }
            let kinds: [String] = try row.decode("kinds")
            let channels = zip(try row.decode("channels", as: [UUID].self), kinds).map(Channel.init)
            desks[desks.count - 1].people.append(
                Person(id: person, level: try row.decode("level"), channels: channels))
        }
    }

    /// The street's own office, or the district's where the street has none.
    func desk(district: District.ID, street: Street.ID?) -> Desk? {
        let inDistrict = desks.filter { $0.district == district }
        return inDistrict.first { $0.street != nil && $0.street == street } ?? inDistrict.first { $0.street == nil }
    }

    func districtDesk(_ district: District.ID) -> Desk? {
        desks.first { $0.district == district && $0.street == nil }
    }
}
