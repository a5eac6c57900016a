"""Messages that are nonsense, doubled or late, and servers that are away."""

import json
import secrets
import time

import httpx
import pytest
from broker import Broker, event
from city import new_id
from stack import wait_for

# What each queue's consumer takes, and whose tables show its dead letters.
QUEUES = {
    "dispatch.routine": ("r.{district}.report.received.v1", "dispatch", "report.received.v1"),
    "dispatch.emergency": ("e.{district}.report.received.v1", "dispatch", "report.received.v1"),
    "notification.routine": ("r.{district}.case.opened.v1", "notification", "case.opened.v1"),
    "notification.emergency": ("e.{district}.case.opened.v1", "notification", "case.opened.v1"),
}


@pytest.fixture(scope="module")
def broker(stack):
    return Broker(stack)


def dead(stack, service):
    return {
        row["id"]: row for row in stack.rows(
            f"SELECT id, consumer, source, event_id, type, reason, version, body FROM {service}.dead_letter")}


@pytest.mark.parametrize("queue", QUEUES)
def test_nonsense_is_buried_with_a_reason_and_the_consumer_lives_on(city, stack, broker, queue):
    key, service, kind = QUEUES[queue]
    key, district = key.format(district=city.district("futian")), city.district("futian")
    secret = "geheim-" + secrets.token_hex(6)
    def made(kind=kind, **changes):
        return event(changes.pop("district", district), kind, **{"source": "dispatch" if kind.startswith("case") else "intake", **changes})

    poison = [
        b"", b"not json " + secret.encode(), b"{", b"\xff\xfe\x00", b"[]", b'"text"', b"[" * 3_000,
        json.dumps({"hello": secret}).encode(),
        made(data={"what": secret}), made(data={"what": secret}, specversion="9"), made("report.sung.v1"),
        made(source="nobody"), made(district="not-a-district"), made(id="not-an-id"), made(aggregateversion="seven"),
        secrets.token_bytes(200_000),
    ]
    # The two lanes of a service share its tables, and equal bytes are the same message: each is made unlike the others.
    poison = [body + f" {queue} {n} {secret}".encode() if b"specversion" not in body else body
              for n, body in enumerate(poison)]
    before = dead(stack, service)
    broker.send(key, *poison)
    buried = wait_for(
        lambda: (now := {i: row for i, row in dead(stack, service).items() if i not in before})
        and len(now) >= len(poison) and now, 90, why=f"{len(poison)} dead letters of {service}")
    assert len(buried) == len(poison), sorted(row["reason"] for row in buried.values())
    for row in buried.values():
        assert row["reason"].strip() and row["version"], row
        assert secret not in row["reason"], "a reason repeats what was sent"
    # Life goes on behind them, by the same consumer.
    category = "gully_blocked" if queue.endswith("routine") else "cover_missing"
    city.case_of(city.report(category=category))
    assert stack.value(f"SELECT count(*) FROM {service}.retry WHERE attempt > 3") == 0


def test_the_operator_lists_retries_and_discards_dead_letters(city, stack, broker):
    broker.send(f"r.{city.district('futian')}.report.received.v1", b"operator " + secrets.token_bytes(8))
    before = {line["id"] for line in stack.sluicectl("dead", "list", "--service", "dispatch", "--limit", "500")[1]}
    marker = b"operator " + secrets.token_hex(8).encode()
    broker.send(f"r.{city.district('futian')}.report.received.v1", marker)

    def mine():
        lines = stack.sluicectl("dead", "list", "--service", "dispatch", "--limit", "500", "--body")[1]
        return [line for line in lines if marker.decode() in (line.get("body") or "")]
    line = wait_for(mine, why="the dead letter is listed", every=1)[0]
    assert line["id"] not in before and line["consumer"].startswith("dispatch") and line["reason"]

    # Retried, it is judged anew; it is still nonsense and lies there again, once.
    assert stack.sluicectl("dead", "retry", line["id"])[1][0]["found"] is True
    again = wait_for(mine, why="it is dead again", every=1)
    assert len(again) == 1 and again[0]["reason"] == line["reason"]
    # Discarded, it is no longer on the list, but its row and who did it stay.
    assert stack.sluicectl("dead", "discard", again[0]["id"])[1][0]["found"] is True
    assert not mine()
    row = stack.one("SELECT discarded_by, discarded_at FROM dispatch.dead_letter WHERE id = %s", again[0]["id"])
    assert row["discarded_by"] and row["discarded_at"]
    # What is not there is said, with a status that scripts can use.
    code, answer = stack.sluicectl("dead", "discard", new_id(), codes=(3,))
    assert code == 3 and answer[0]["found"] is False


def test_doubled_and_reordered_events_have_one_effect(city, stack, broker, dispatcher, on_shift):
    """Everything that happened to a report and its case, sent three more times, backwards and under other keys."""
    crew = on_shift("crew-nanshan-3")
    with broker.tap() as copies:
        receipt = city.report("nanshan")
        case_id = city.case_of(receipt)
        wait_for(lambda: dispatcher.seen(f"/v1/cases/{case_id}")["order_id"], why="a crew")
        order = wait_for(
            lambda: [o for o in crew.seen("/v1/orders", params={"open": "true"})["items"] if o["case_id"] == case_id])[0]
        for kind in ("accept", "en_route", "on_site", "done"):
            crew.step(order, kind)
        dispatcher.decide(case_id, "verify", {"passed": True})
        wait_for(lambda: sum(case_id.encode() in body or receipt["id"].encode() in body for _, body in copies()) >= 6,
                 why="the events are published")
        time.sleep(2)
        events = [(key, body) for key, body in copies() if case_id.encode() in body or receipt["id"].encode() in body]

    def effects():
        return {
            "cases": stack.value("SELECT count(*) FROM dispatch.report_state WHERE report_id = %s", receipt["id"]),
            "case": stack.one("SELECT state, version FROM dispatch.case_file WHERE case_id = %s", case_id),
            "orders": stack.value("SELECT count(*) FROM dispatch.work_order WHERE case_id = %s", case_id),
            "notices": stack.value("SELECT count(*) FROM notification.notice WHERE case_id = %s", case_id),
            "deliveries": stack.value(
                "SELECT count(*) FROM notification.delivery d JOIN notification.notice n USING (notice_id)"
                " WHERE n.case_id = %s", case_id),
            "held": stack.one("SELECT version FROM notification.case_held WHERE case_id = %s", case_id)["version"],
            "evidence": stack.value("SELECT count(*) FROM scoring.api_evidence WHERE aggregate_id = %s", case_id),
            "history": stack.value("SELECT count(*) FROM dispatch.history WHERE aggregate_id = %s", case_id),
        }
    wait_for(lambda: effects()["evidence"] and effects()["case"]["version"] == effects()["held"], 90,
             why="all of it has arrived")
    time.sleep(3)  # what is still on its way
    before = effects()
    with broker.channel() as channel:
        channel.confirm_delivery()
        for _ in range(3):
            for key, body in reversed(events):
                channel.basic_publish("city.events", key, body, mandatory=True)
    wait_for(lambda: not broker.waiting(), why="the queues are empty again", every=1)
    time.sleep(2)
    assert effects() == before


# Servers that are away -----------------------------------------------------------------------------------------------

def _emergency_goes_through(city, stack, dispatcher, hook, slug):
    """Filed, claimed, and the office told: all without the broker."""
    receipt = city.report(slug)
    case = city.case_of(receipt, dispatcher, seconds=30)
    case_id = case["case_id"]
    wait_for(lambda: dispatcher.seen(f"/v1/cases/{case_id}")["order_id"], 30, why="a crew is claimed")
    wait_for(
        lambda: stack.rows(
            "SELECT FROM notification.notice WHERE case_id = %s AND first_attempt_at IS NOT NULL", case_id),
        30, why="the office is told")
    wait_for(
        lambda: dispatcher.seen(f"/v1/cases/{case_id}")["notices"], 30, why="dispatch knows that the office is told")
    return case_id


@pytest.mark.parametrize("fault", ["alarm", "stopped", "killed"])
def test_emergencies_go_round_a_broker_that_takes_nothing(city, stack, broker, dispatcher, hook, on_shift, fault):
    """A memory alarm, SIGSTOP and SIGKILL look alike from outside, and none delays an emergency. Routine work waits."""
    for number in (3, 5, 7):
        on_shift(f"crew-luohu-{number}")
    pids = []
    if fault == "alarm":
        broker.memory_alarm(True)
    elif fault == "stopped":
        pids = stack.pause("broker")
    else:
        stack.kill("broker")
    try:
        _emergency_goes_through(city, stack, dispatcher, hook, "luohu")
        waiting = [city.report("luohu", category="gully_blocked") for _ in range(3)]
        if fault != "alarm":
            # The services say so, and stay ready: they work, without their usual way.
            health = wait_for(
                lambda: (h := httpx.get(f"http://127.0.0.1:{stack.base + 120}/health/ready", timeout=10, trust_env=False))
                and "degraded" in h.text and h, 60, why="health shows that the broker is away", every=1)
            assert health.status_code == 200
        _emergency_goes_through(city, stack, dispatcher, hook, "luohu")
    finally:
        if fault == "alarm":
            broker.memory_alarm(False)
        elif fault == "stopped":
            stack.resume(pids)
        else:
            stack.start("broker")
    for receipt in waiting:
        city.case_of(receipt, seconds=120)
    wait_for(
        lambda: not stack.value("SELECT (SELECT count(*) FROM intake.outbox) + (SELECT count(*) FROM dispatch.outbox)"),
        120, why="the outboxes drain")


def test_a_minute_without_the_database_parks_nothing_and_loses_nothing(city, stack, broker):
    before = {
        service: stack.one(
            f"SELECT (SELECT count(*) FROM {service}.dead_letter) AS dead, (SELECT count(*) FROM {service}.retry) AS parked")
        for service in ("dispatch", "notification", "scoring")}
    # Messages are in the queue when the database goes: dispatch is stopped while they get there.
    paused = stack.pause("dispatch") + stack.pause("dispatch.1")
    try:
        receipts = [city.report("luohu", category="gully_blocked") for _ in range(60)]
        # A message may hold several, so that their number says nothing.
        wait_for(lambda: not stack.value("SELECT count(*) FROM intake.outbox"), 60, why="60 reports are sent", every=1)
        assert broker.depth().get("dispatch.routine", 0) > 0
        stack.kill("database")
    finally:
        stack.resume(paused)
    try:
        # Who reports now is asked to come again, and the same request is taken later.
        stranger, key = city.person(), secrets.token_hex(12)
        body = {"category": "gully_blocked", **city.place("luohu")}
        refused = stranger.act("/v1/reports", body, key=key)
        assert refused.status_code == 503 and refused.headers["Content-Type"].startswith("application/problem+json")
        assert int(refused.headers["Retry-After"]) >= 1
        time.sleep(60)
    finally:
        stack.start("database")
    answer = wait_for(lambda: (a := stranger.act("/v1/reports", body, key=key)).status_code == 201 and a, 60, every=1)
    for receipt in [*receipts, answer.json()]:
        city.case_of(receipt, seconds=120)
    for service, counts in before.items():
        now = stack.one(
            f"SELECT (SELECT count(*) FROM {service}.dead_letter) AS dead, (SELECT count(*) FROM {service}.retry) AS parked")
        assert now == counts, f"{service}: {counts} became {now}"
    code, balance = stack.sluicectl("reconcile", "--days", "1", "--grace", "60")
    assert code == 0 and balance["reports"]["missing"] == 0, balance
