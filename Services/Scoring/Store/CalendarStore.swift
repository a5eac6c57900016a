import Model
import Postgres

/// The SQL of the city's calendar. PostgreSQL knows the time zones: the services are built without a table of them.
enum CalendarStore {
    /// `2026-07`, the month in which `time` lies in that zone.
    static func month(of time: Timestamp, timeZone: String) -> SQL {
        "SELECT to_char(\(time)::timestamptz AT TIME ZONE \(timeZone)::text, 'YYYY-MM') AS month"
    }

    /// Whether there is a zone of that name. Abbreviations are none: CST is the time of Chicago, too.
    static func isKnown(timeZone: String) -> SQL {
        "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE lower(name) = lower(\(timeZone)::text)) AS is_known"
    }
}
