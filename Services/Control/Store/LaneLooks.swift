extension DatabaseLook {
    /// What the emergency lane waits for. It works as it should, so these are doubts: people have to see to them.
    static let lane: [DatabaseLook] = [
        .faults(
            "emergencies",
            """
            SELECT CASE WHEN count(*) > 0
                        THEN count(*)::text || ', the oldest for '
                             || date_trunc('second', clock_timestamp() - min(not_before))::text END
            FROM dispatch.claim_queue
            WHERE emergency AND NOT canary AND not_before < clock_timestamp() - interval '2 minutes'
            """,
            good: "no emergency has waited for a crew for two minutes",
            bad: "emergencies that no crew is on the way to",
            mend: "GET /v1/cases?emergency=true&state=filed,reopened: reassign them, lend a crew, or let a shift begin",
            isDoubt: true)
    ]
}
