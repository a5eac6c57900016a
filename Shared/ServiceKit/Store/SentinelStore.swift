import Postgres

/// The SQL of the permanent rows that each view must show.
enum SentinelStore {
    /// Which of the views do not show theirs to the caller.
    static func missing(_ views: [String]) -> SQL {
        "SELECT view_name FROM sluice.missing_sentinels(\(views)::text[]) AS missing(view_name)"
    }
}
