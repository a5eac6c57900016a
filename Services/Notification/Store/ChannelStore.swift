import FoundationEssentials
import Outbox
import Postgres

/// The SQL of changing a channel.
enum ChannelStore {
    static func lock(_ id: UUID) -> SQL {
        """
        SELECT c.kind, c.version,
               CASE WHEN c.previous_until > clock_timestamp() THEN c.previous_until END AS rotating_until
        FROM notification.channel c WHERE c.channel_id = \(id) FOR UPDATE
        """
    }

    /// Of one that is locked. A new secret takes the place of the one before, which signs beside it for a day.
    static func change(_ id: UUID, secret: [UInt8]?, active: Bool?) -> SQL {
        """
        UPDATE notification.channel
        SET previous_secret = CASE WHEN \(secret)::bytea IS NULL THEN previous_secret ELSE channel.secret END,
            previous_until = CASE WHEN \(secret)::bytea IS NULL THEN previous_until
                                  ELSE clock_timestamp() + interval '1 day' END,
            secret = coalesce(\(secret)::bytea, channel.secret),
            active = coalesce(\(active)::boolean, active), version = version + 1
        WHERE channel_id = \(id)
        """
    }

    /// Takes back what waits for a channel that is switched off; of any other nothing.
    static func takeBack(from id: UUID) -> SQL {
        DeliveryStore.takeBack(
            from: "SELECT c.channel_id FROM notification.channel c WHERE c.channel_id = \(id) AND NOT c.active")
    }
}
