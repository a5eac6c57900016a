"""The design's invariants I1 to I8 as queries on the real tables. Each answers with the rows that break it: none may."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Invariant:
    """`why` says what a row would mean. Values: since (begin of the run), accepted (ids of reports answered by 201)."""

    name: str
    why: str
    sql: str


OPEN = "('received', 'filed', 'dispatched', 'handling', 'verification', 'reopened', 'suspended')"

QUERIES = [
    Invariant(
        "I1 accepted reports are in", "a 201 was given for a report that is not there",
        "SELECT id FROM unnest(%(accepted)s::uuid[]) id"
        " WHERE NOT EXISTS (SELECT FROM intake.report r WHERE r.report_id = id)"),
    Invariant(
        "I1 every report is somewhere", "a report is in no case, not rejected and not dead, though nothing moves any more",
        """
        SELECT r.report_id, r.received_at FROM intake.report r
        WHERE r.received_at >= %(since)s AND r.kind IN ('hazard', 'complaint', 'request', 'finding')
          AND r.district_id <> sluice.canary()
          AND NOT EXISTS (SELECT FROM dispatch.api_report_state s WHERE s.report_id = r.report_id)
        """),
    Invariant(
        "I1 in one place only", "a report is in two places at once",
        "SELECT report_id FROM dispatch.api_report_state GROUP BY report_id HAVING count(*) > 1"),
    Invariant(
        "I1 the case is there", "a report belongs to a case that does not exist, or that has been merged away",
        """
        SELECT s.report_id, s.case_id, c.state FROM dispatch.report_state s
        LEFT JOIN dispatch.case_file c USING (case_id)
        WHERE s.outcome = 'case' AND (c.case_id IS NULL OR c.state = 'merged')
        """),
    Invariant(
        "I1 cases count their reports", "a case says that it has more or fewer reports than belong to it",
        """
        SELECT c.case_id, c.report_count, count(s.report_id) AS found FROM dispatch.case_file c
        LEFT JOIN dispatch.report_state s ON s.case_id = c.case_id
        WHERE c.opened_at >= %(since)s AND NOT c.canary AND c.state <> 'merged'
        GROUP BY c.case_id HAVING c.report_count <> count(s.report_id)
        """),
    Invariant(
        "I2 an open case is waiting for somebody", "a case needs a crew, has none, and is not in the queue for one",
        """
        SELECT c.case_id, c.state FROM dispatch.case_file c
        WHERE c.state IN ('filed', 'reopened') AND NOT c.canary AND c.opened_at >= %(since)s
          AND NOT EXISTS (SELECT FROM dispatch.claim_queue q WHERE q.case_id = c.case_id)
          AND NOT EXISTS (
              SELECT FROM dispatch.work_order o WHERE o.case_id = c.case_id AND o.released_at IS NULL)
        """),
    Invariant(
        "I2 what is being done has an order", "a case is with a crew, and no open order binds one",
        """
        SELECT c.case_id, c.state FROM dispatch.case_file c
        WHERE c.state IN ('dispatched', 'handling') AND NOT c.canary
          AND NOT EXISTS (
              SELECT FROM dispatch.work_order o WHERE o.case_id = c.case_id AND o.released_at IS NULL)
        """),
    Invariant(
        "I3 each change once", "one version of one aggregate was written twice",
        " UNION ALL ".join(
            f"SELECT '{schema}' AS service, aggregate_id, version, count(*) AS times FROM {schema}.history"
            " WHERE NOT canary AND recorded_at >= %(since)s GROUP BY aggregate, aggregate_id, version HAVING count(*) > 1"
            for schema in ("dispatch", "notification"))),
    Invariant(
        "I3 one report a request", "a request that was sent again made a second report",
        "SELECT n FROM (SELECT count(*) AS n FROM intake.report WHERE received_at >= %(since)s"
        "  AND district_id <> sluice.canary()) t"
        " WHERE n <> cardinality(%(accepted)s::uuid[])"),
    Invariant(
        "I3 one open order a case", "two crews are on their way to one case",
        "SELECT case_id FROM dispatch.work_order WHERE released_at IS NULL GROUP BY case_id HAVING count(*) > 1"),
    Invariant(
        "I3 a notice for every emergency", "an open emergency of which nobody was told",
        f"""
        SELECT c.case_id FROM dispatch.case_file c
        WHERE c.emergency AND NOT c.canary AND c.opened_at >= %(since)s AND c.state IN {OPEN}
          AND NOT EXISTS (SELECT FROM notification.notice n WHERE n.case_id = c.case_id)
        """),
    Invariant(
        "I3 repeats only after an unknown outcome",
        "a message to an outside system was sent again though it was known to have arrived",
        """
        SELECT delivery_id, attempt FROM notification.delivery_attempt a
        WHERE outcome = 'delivered' AND EXISTS (
            SELECT FROM notification.delivery_attempt b
            WHERE b.delivery_id = a.delivery_id AND b.attempt > a.attempt AND b.started_at > a.ended_at)
        """),
    Invariant(
        "I4 the outboxes are empty", "an event is still waiting though the broker takes everything",
        " UNION ALL ".join(
            f"SELECT '{schema}.outbox' AS place, id FROM {schema}.outbox UNION ALL"
            f" SELECT '{schema}.emergency_outbox', id FROM {schema}.emergency_outbox"
            " WHERE NOT canary AND created_at < clock_timestamp() - interval '20 seconds'"
            for schema in ("intake", "dispatch", "notification"))),
    Invariant(
        "I4 nothing is parked", "a message was set aside and is not done",
        " UNION ALL ".join(
            f"SELECT '{schema}' AS service, consumer, event_id, failure FROM {schema}.retry"
            for schema in ("dispatch", "notification", "scoring", "gis"))),
    Invariant(
        "I4 every event has arrived", "whoever must act on an event has never had it",
        """
        SELECT h.id, h.type FROM dispatch.history h
        WHERE h.recorded_at >= %(since)s AND NOT h.canary
          AND (h.type LIKE 'case.%%' OR h.type LIKE 'order.%%')
          AND NOT EXISTS (SELECT FROM notification.api_inbox i WHERE i.event_id = h.id)
        UNION ALL
        SELECT h.id, h.type FROM intake.history h
        WHERE h.recorded_at >= %(since)s AND NOT h.canary AND h.type = 'report.received.v1'
          AND NOT EXISTS (SELECT FROM dispatch.api_inbox i WHERE i.event_id = h.id)
        UNION ALL
        SELECT h.id, h.type FROM notification.history h
        WHERE h.recorded_at >= %(since)s AND NOT h.canary AND h.type LIKE 'notice.%%'
          AND NOT EXISTS (SELECT FROM dispatch.api_inbox i WHERE i.event_id = h.id)
        """),
    Invariant(
        "I4 every event is evidence", "the ledger on which figures rest lacks an event that its publisher has recorded",
        " UNION ALL ".join(
            f"SELECT '{schema}' AS service, h.id, h.type FROM {schema}.history h"
            " WHERE h.recorded_at >= %(since)s AND NOT h.canary"
            " AND h.type ~ '^(report|case|order|storm|notice|facility|place)[.]'"
            " AND NOT EXISTS (SELECT FROM scoring.evidence e WHERE e.event_id = h.id)"
            for schema in ("intake", "dispatch", "gis", "notification"))),
    Invariant(
        "I5 a crew is in one place", "two orders bound one crew at the same time",
        """
        SELECT a.crew_id, a.order_id, b.order_id AS other FROM dispatch.crew_period a
        JOIN dispatch.crew_period b ON b.crew_id = a.crew_id AND b.order_id > a.order_id AND b.period && a.period
        """),
    Invariant(
        "I5 the slot tells the truth", "a crew is held by an order that is over, or free though one binds it",
        """
        SELECT s.crew_id, s.active_order, o.state FROM dispatch.crew_slot s
        LEFT JOIN dispatch.work_order o ON o.order_id = s.active_order
        WHERE s.active_order IS NOT NULL AND (o.order_id IS NULL OR o.released_at IS NOT NULL)
        UNION ALL
        SELECT p.crew_id, p.order_id, 'period open' FROM dispatch.crew_period p
        JOIN dispatch.crew_slot s USING (crew_id)
        WHERE upper_inf(p.period) AND s.active_order IS DISTINCT FROM p.order_id
        """),
    Invariant(
        "I7 no dead letters", "a healthy message was buried for a fault that was not its own",
        " UNION ALL ".join(
            f"SELECT '{schema}' AS service, consumer, type, reason FROM {schema}.dead_letter WHERE dead_at >= %(since)s"
            for schema in ("intake", "dispatch", "notification", "scoring", "gis"))),
    Invariant(
        "I8 the record reaches the present", "a case or order is at another version than its history says",
        """
        SELECT c.case_id AS id, c.version, h.version AS recorded FROM dispatch.case_file c
        JOIN LATERAL (
            SELECT max(version) AS version FROM dispatch.history WHERE aggregate_id = c.case_id AND aggregate = 'case'
        ) h ON true
        WHERE c.opened_at >= %(since)s AND NOT c.canary AND h.version IS DISTINCT FROM c.version
        """),
    Invariant(
        "I8 others hold the latest", "notification acts on a case as it was and not as it is",
        """
        SELECT n.case_id, n.version, c.version AS present FROM notification.case_held n
        JOIN dispatch.case_file c USING (case_id)
        WHERE c.opened_at >= %(since)s AND NOT c.canary AND n.version <> c.version
        """),
]


def broken(stack, since, accepted):
    """The invariants that do not hold, with their first rows."""
    values = {"since": since, "accepted": accepted}
    found = []
    with stack.connect() as connection:
        for invariant in QUERIES:
            rows = connection.execute(invariant.sql, values).fetchall()
            if rows:
                found.append(f"{invariant.name}: {invariant.why}: {len(rows)} rows, such as {rows[:3]}")
    return found
