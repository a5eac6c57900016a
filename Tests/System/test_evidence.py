"""`sluicectl evidence compare`: the ledger is what the events say, and what is not is named.

Other tests send events that no service has recorded, so a stack that they have run on has some differences for good."""

from evidence import compare
from stack import wait_for


def facts(stack, aggregate):
    return {
        (row["fact"], row["version"]) for row in stack.rows(
            "SELECT fact, version FROM scoring.evidence WHERE aggregate_id = %s", aggregate)}


def history(stack, schema, aggregate):
    return {
        (row["type"].removesuffix(".v1"), row["version"]) for row in stack.rows(
            f"SELECT type, version FROM {schema}.history WHERE aggregate_id = %s", aggregate)}


def of(stack, case_id, report_id):
    """The ids by which a difference would name our report, our case and their events."""
    events = stack.rows("SELECT event_id FROM scoring.evidence WHERE aggregate_id IN (%s, %s)", case_id, report_id)
    return {case_id, *(str(row["event_id"]) for row in events)}


def test_what_happened_is_in_the_ledger_once_and_in_one_built_anew(city, stack):
    city.calm("luohu")
    receipt = city.report("luohu", category="gully_blocked")
    case_id = city.case_of(receipt)
    wait_for(lambda: history(stack, "dispatch", case_id) == facts(stack, case_id), 90, why="the case is evidence")
    wait_for(
        lambda: history(stack, "intake", receipt["id"]) == facts(stack, receipt["id"]), 90, why="the report is evidence")
    found, different = compare(stack)
    assert set(found) == {"live", "rebuilt", "live_cases", "rebuilt_cases", "differences"}, found
    assert all(type(found[count]) is int and found[count] > 0 for count in set(found) - {"differences"}), found
    assert not {line[2] for line in different} & of(stack, case_id, receipt["id"]), different


def test_a_verdict_that_no_event_gave_is_named_and_ends_with_three(city, stack):
    city.calm("luohu")
    case_id = city.case_of(city.report("luohu", category="gully_blocked"))
    wait_for(lambda: history(stack, "dispatch", case_id) == facts(stack, case_id), 90, why="the case is evidence")
    verdict = stack.value("SELECT verdict FROM scoring.case_fact WHERE case_id = %s", case_id)
    other = "late" if verdict != "late" else "pending"

    def give(word):
        with stack.connect() as connection:
            connection.execute("UPDATE scoring.case_fact SET verdict = %s WHERE case_id = %s", (word, case_id))

    assert not [line for line in compare(stack)[1] if line[2] == case_id]
    give(other)
    try:
        found, different = compare(stack)
        assert ("case", "differs", case_id) in different, found
        named, = [line for line in found["differences"] if line["id"].lower() == case_id]
        assert named["detail"] == f"{other} / {verdict}"
    finally:
        give(verdict)
    assert not [line for line in compare(stack)[1] if line[2] == case_id]
