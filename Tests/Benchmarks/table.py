"""The table of results, in Markdown: what, goal, measured."""


def text(results):
    rows = [("what", "goal", "measured"), ("---", "---", "---")]
    found = results.get("lane")
    if found:
        idle, behind, stopped = (found[name]["both"] for name in ("idle", "loaded", "stopped"))
        rows += [
            (f"emergency, accepted → crew claimed and first notice tried, idle, {found['rate']}/s", "",
             f"p50 {idle['p50']:.1f}, p99 {idle['p99']:.1f}, max {idle['max']:.1f} ms"),
            (f"the same behind {found['behind']:,} routine reports", "p99 ≤ 2 × idle",
             f"p50 {behind['p50']:.1f}, p99 {behind['p99']:.1f}, max {behind['max']:.1f} ms: {found['ratio_loaded']:.2f} ×"),
            ("routine reports that finish meanwhile", "≥ 0.5 of their maximum",
             f"{found['routine_beside']:.0f}/s of {found['routine_alone']:.0f}/s: {found['share_of_flow']:.2f}"),
            (f"emergency with the broker stopped, behind {found['behind_stopped']:,}", "p99 ≤ 2 × idle",
             f"p50 {stopped['p50']:.1f}, p99 {stopped['p99']:.1f}, max {stopped['max']:.1f} ms: {found['ratio_stopped']:.2f} ×"),
        ]
    found = results.get("bound")
    if found:
        steps = ", ".join(f"{step['rate']}/s {step['p99']:.0f} ms" for step in found["steps"])
        rows.append(
            ("emergencies a second up to which p99 ≤ 2 × that at the lowest rate", "measured",
             f"{found['holds_up_to']}/s (p99: {steps})"))
    found = results.get("throughput")
    if found:
        best = max(found["pgbench"].values(), key=lambda peer: peer["rate"])
        rows.append(
            ("routine reports/s, accepted over HTTP to case, crew and notice", "≥ 1.5 × pgbench at its peak, aim 3 ×",
             f"{found['rate']:.0f}/s, pgbench {best['rate']:.0f}/s: {found['ratio']:.2f} ×"))
        cost = found["cost_us"]
        rows.append(
            ("processor time of a routine report, all parts", "",
             f"pgbench {best['cost_us'] / 1000:.2f} ms, ours {sum(cost.values()) / 1000:.2f} ms ("
             + ", ".join(f"{name} {value / 1000:.2f}" for name, value in cost.items()) + ")"))
    found = results.get("million")
    if found:
        rows.append(
            ("1,000,000 reports in ten minutes, end to end", "1,667/s where the machine can",
             f"{found['done']:,} in {found['seconds']:.0f} s: {found['rate']:.0f}/s"))
    for name, title, goal in (
            ("memory", "anonymous memory, idle", "≤ 8 MB each"),
            ("rest", "anonymous memory, after the storm and a rest", "≤ 16 MB each")):
        found = results.get(name)
        if found:
            rows.append((title, goal, ", ".join(f"{service} {value:.1f}" for service, value in found.items()) + " MB"))
    found = results.get("idle")
    if found:
        rows.append(
            ("processor time, idle, all parts", "",
             f"{found['cores']:.2f} cores, without the canary {found['without_canary']:.2f};"
             f" a round of it {found['canary_ms']:.0f} ms"))
    found = results.get("start")
    if found:
        rows.append(
            ("start to ready, both servers connected", "≤ 0.25 s",
             ", ".join(f"{service} {value:.2f}" for service, value in found.items()) + " s"))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
