"""The canary: rounds that measure the emergency lane, and that nobody sees."""

from stack import wait_for

CANARY = "00000000-0000-7000-8000-0000000000ca"


def rounds(stack):
    """Rounds that went all the way: claimed, done, and their notice given to the sink."""
    return stack.value(
        """
        SELECT count(*) FROM dispatch.case_file c
        JOIN dispatch.work_order o USING (case_id)
        JOIN notification.notice n USING (case_id)
        WHERE c.canary AND c.state = 'closed' AND o.state = 'done' AND n.state = 'delivered'
        """)


def test_rounds_go_the_whole_way_and_the_signal_has_them(stack):
    wait_for(lambda: rounds(stack) >= 20, 60, why="twenty rounds")
    wait_for(
        lambda: stack.value(
            "SELECT count(*) FROM dispatch.lane_signal"
            " WHERE canary_ms IS NOT NULL AND measured_at > clock_timestamp() - interval '2 seconds'"),
        30, why="a signal that has the canary")
    assert stack.value("SELECT count(*) FROM dispatch.crew_slot WHERE shift_id = crew_id") == 1


def test_nobody_sees_a_round(city, stack):
    wait_for(lambda: rounds(stack) >= 1, 60, why="a round")
    admin = city.person("admin")
    for path in ("/v1/cases", "/v1/orders", "/v1/crews", "/v1/notices", "/v1/offices", "/v1/channels", "/v1/categories"):
        answer = admin.get(path)
        assert answer.status_code in (200, 403), f"{path}: {answer.status_code} {answer.text}"
        assert CANARY not in answer.text and "canary" not in answer.text.lower(), path
    assert stack.value("SELECT count(*) FROM dispatch.live_event WHERE district_id = %s", CANARY) == 0
    assert stack.value("SELECT count(*) FROM scoring.api_evidence WHERE district_id = %s", CANARY) == 0
    assert stack.value("SELECT count(*) FROM dispatch.case_file WHERE NOT canary AND number < 0") == 0
    code, balance = stack.sluicectl("reconcile", codes=(0, 1, 2))
    assert "canary" not in str(balance).lower(), (code, balance)


def test_old_rounds_are_deleted(stack):
    wait_for(
        lambda: not stack.value(
            "SELECT (SELECT count(*) FROM dispatch.case_file WHERE canary AND opened_at < now() - interval '4 minutes')"
            " + (SELECT count(*) FROM intake.report WHERE district_id = sluice.canary()"
            "    AND received_at < now() - interval '4 minutes')"
            " + (SELECT count(*) FROM notification.notice WHERE district_id = sluice.canary()"
            "    AND created_at < now() - interval '4 minutes')"),
        60, why="no round older than four minutes")
    for schema in ("intake", "dispatch", "notification"):
        assert stack.value(
            f"SELECT count(*) FROM {schema}.emergency_outbox"
            " WHERE canary AND created_at < clock_timestamp() - interval '20 seconds'") == 0


def test_rounds_go_on_after_their_poster_was_killed(stack):
    before = wait_for(
        lambda: stack.rows("SELECT holder FROM intake.task_lease WHERE task = 'canary' AND until > clock_timestamp()"),
        30, why="somebody has the lease")
    stack.kill("intake")
    stack.services("start", check=False)
    wait_for(
        lambda: stack.rows(
            "SELECT holder FROM intake.task_lease WHERE task = 'canary' AND until > clock_timestamp() AND holder <> %s",
            before[0]["holder"]),
        60, why="another holder")
    newest = "SELECT max(opened_at) FROM dispatch.case_file WHERE canary"
    last = stack.value(newest)
    wait_for(lambda: (now := stack.value(newest)) and (last is None or now > last), 60, why="a new round")
