"""An emergency that no crew comes to: counted, called, and seen by the doctor."""

import json

import httpx
from stack import wait_for


def waiting(stack, what):
    """How many emergencies wait for that, as the first dispatch shows it."""
    text = httpx.get(f"http://127.0.0.1:{stack.base + 120}/metrics", timeout=30, trust_env=False).text
    name = f'sluice_emergencies_waiting{{for="{what}"}} '
    line, = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


def seen_by_the_doctor(stack):
    finding, = [
        line for line in stack.sluicectl("doctor", "--all", codes=(0, 3))[1] if line["check"] == "database.emergencies"]
    return finding


def calls(stack, case_id):
    """What the instances of dispatch have logged about it."""
    lines = [
        json.loads(line) for file in (stack.home / "logs").glob("dispatch*.log")
        for line in file.read_text(errors="replace").splitlines() if line.startswith("{") and case_id in line]
    return [line for line in lines if line["level"] == "error" and line.get("case") == case_id]


def test_an_emergency_without_a_crew_is_counted_and_called(city, stack, dispatcher):
    city.calm("luohu")
    case_id = city.case_of(city.report("luohu", person_at_risk=True))
    assert stack.value("SELECT count(*) FROM dispatch.claim_queue WHERE case_id = %s", case_id) == 1
    wait_for(lambda: waiting(stack, "crew") >= 1, why="it is counted")
    assert waiting(stack, "verification") >= 0

    # As if it had come ten minutes ago.
    with stack.connect() as connection:
        connection.execute(
            "UPDATE dispatch.claim_queue SET not_before = not_before - interval '10 minutes' WHERE case_id = %s",
            (case_id,))
    finding = seen_by_the_doctor(stack)
    assert finding["status"] == "doubtful" and finding["mend"], finding
    wait_for(lambda: calls(stack, case_id), why="somebody is called")
    city.calm("luohu")
    wait_for(
        lambda: not stack.rows("SELECT 1 FROM dispatch.claim_queue WHERE case_id = %s", case_id),
        why="a rejected case waits for nobody")
