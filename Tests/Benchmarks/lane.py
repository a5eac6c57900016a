"""Emergencies behind a routine backlog, with the broker well and stopped, against the same lane with nothing to do."""

import time

import emergencies


def run(bench, size, note):
    """Row 1 of the goals: p99 from accepted to crew claimed and somebody told."""
    token = bench.token()
    rate, seconds = size["rate"], size["lane_seconds"]

    def measure(name):
        reports = emergencies.send(bench.intake_url, token, rate, seconds)
        found = emergencies.summary(emergencies.times(bench, reports))
        note(f"  {name}: " + ", ".join(
            f"{step} p50 {value['p50']:.1f} p99 {value['p99']:.1f} max {value['max']:.1f} ms"
            for step, value in found.items()))
        return found

    emergencies.times(bench, emergencies.send(bench.intake_url, token, rate, 5))  # connections open, plans made
    idle = measure("idle")

    pile(bench, size["backlog"] + size["flow_seconds"] * size["flow_guess"], note)
    bench.services("start", "dispatch")
    # Everybody's share of routine work grows back, after dispatch was away, in some ten seconds.
    maximum = flow(bench, lambda: time.sleep(size["flow_seconds"]), warm=15)
    note(f"  routine alone: {maximum[0]:.0f}/s, {bench.waiting()} wait")
    waiting = bench.waiting()
    found = {}
    beside = flow(bench, lambda: found.update(loaded=measure(f"behind {waiting} routine reports")))
    note(f"  routine beside emergencies: {beside[0]:.0f}/s = {beside[0] / maximum[0]:.2f} of its maximum")
    waiting_stopped = bench.waiting()
    with bench.paused("broker"):
        found["stopped"] = measure(f"broker stopped, behind {waiting_stopped}")
    bench.settle(seconds=7_200)

    def ratio(name):
        return found[name]["both"]["p99"] / idle["both"]["p99"]

    return {
        "idle": idle, **found, "behind": waiting, "behind_stopped": waiting_stopped,
        "routine_alone": maximum[0], "routine_beside": beside[0], "ratio_loaded": ratio("loaded"),
        "ratio_stopped": ratio("stopped"), "share_of_flow": beside[0] / maximum[0], "rate": rate,
    }


def pile(bench, reports, note):
    """Accepts so many routine reports while dispatch is down: they wait in intake's outbox."""
    bench.services("stop", "dispatch")
    before, accepted, began = bench.written()["accepted"], 0, time.monotonic()
    while accepted < reports:
        # Some are told to come again later at first: the lane was under pressure a moment ago.
        posted = bench.post_routine(min(20, max(2, int((reports - accepted) / 4000))))
        if posted["broken"]:
            raise AssertionError(f"connections broke: {posted}")
        time.sleep(1.5)
        accepted = bench.written()["accepted"] - before
    note(f"  piled up {accepted} routine reports at {accepted / (time.monotonic() - began):.0f}/s")


def flow(bench, work, warm=0):
    """Routine reports a second that were finished during `work`, and what it answered."""
    time.sleep(warm)
    before, began = bench.finished(), time.monotonic()
    answer = work()
    # The statistics are up to a second old, at both ends.
    return (bench.finished() - before) / (time.monotonic() - began), answer


def bound(bench, size, note):
    """The number of emergencies a second up to which p99 stays within twice its value at the lowest rate."""
    token = bench.token()
    steps, limit, holds = [], None, 0
    for rate in size["rates"]:
        reports = emergencies.send(bench.intake_url, token, rate, size["bound_seconds"])
        try:
            found = emergencies.summary(emergencies.times(bench, reports, seconds=120))["both"]
        except AssertionError as error:
            note(f"  {rate}/s: {error}")
            break
        limit = limit or 2 * found["p99"]
        steps.append({"rate": rate, **found})
        note(f"  {rate}/s: p50 {found['p50']:.1f} p99 {found['p99']:.1f} max {found['max']:.1f} ms")
        if found["p99"] > limit:
            break
        holds = rate
    return {"steps": steps, "holds_up_to": holds}
