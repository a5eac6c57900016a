"""What a service needs when it has nothing to do, and how soon it is ready."""

import statistics
import subprocess
import time
import urllib.error
import urllib.request

import processor
from city import SERVICES

# Of `SLUICE_CANARY_RATE`, when nothing else is set.
CANARIES_A_SECOND = 2


def anonymous(bench):
    """Anonymous memory of each service in MB (RssAnon of /proc/PID/status)."""
    found = {}
    for name in SERVICES:
        with open(f"/proc/{bench.pid(name)}/status") as status:
            kilobytes = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
        found[name] = kilobytes / 1024
    return found


def memory(bench, size, note):
    """Idle: started anew with the sample city, pools open, a minute of nothing."""
    bench.services("restart")
    time.sleep(size["idle_seconds"])
    found = anonymous(bench)
    note("  idle: " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()) + " MB")
    return found


def idle(bench, size, note):
    """Cores that everything together needs with nothing to do, and what a round of the canary costs."""
    with_canary = _cores(bench, size)
    settings = bench.home / "settings" / "intake.conf"
    settings.write_text(bench.settings_text("intake.conf") + "SLUICE_CANARY_RATE=0\n")
    try:
        without = _cores(bench, size)
    finally:
        settings.write_text(bench.settings_text("intake.conf"))
        bench.services("restart", "intake")
    canary_ms = (with_canary - without) * 1000 / CANARIES_A_SECOND
    note(f"  {with_canary:.2f} cores, without the canary {without:.2f}: {canary_ms:.0f} ms a round of it")
    return {"cores": with_canary, "without_canary": without, "canary_ms": canary_ms}


def _cores(bench, size):
    bench.services("restart")
    time.sleep(10)
    before, began = processor.seconds(bench), time.monotonic()
    time.sleep(size["idle_seconds"])
    after = processor.seconds(bench)
    return sum(value - before.get(name, 0) for name, value in after.items()) / (time.monotonic() - began)


def after_storm(bench, size, note):
    """After all the load of the other benchmarks, and a rest."""
    time.sleep(size["rest_seconds"])
    found = anonymous(bench)
    note(f"  {size['rest_seconds']} s after: " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()) + " MB")
    return found


def start(bench, size, note):
    """Seconds from exec to the first 200 of /health/ready, which wants both servers; the median of several starts."""
    found = {}
    for name in SERVICES:
        took = []
        for _ in range(size["starts"]):
            bench.services("stop", name)
            took.append(_start_once(bench, name))
        found[name] = statistics.median(took)
        bench.services("start", name)
    note("  ready after: " + ", ".join(f"{name} {value * 1000:.0f}" for name, value in found.items()) + " ms")
    return found


def _start_once(bench, name):
    """Starts the binary itself: what the shell around it costs is not the service's."""
    offset = {"intake": 10, "dispatch": 20, "gis-sync": 30, "scoring": 40, "notification": 50}[name]
    port = bench.base + offset
    environment = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "MALLOC_ARENA_MAX": "2",
        "SLUICE_CONFIG_FILE": str(bench.data / "etc" / f"{name}.conf"), "SLUICE_HTTP_HOST": "127.0.0.1",
        "SLUICE_HTTP_PORT": str(port), "SLUICE_OPERATIONS_PORT": str(port + 100), "SLUICE_INSTANCE": name}
    began = time.monotonic()
    process = subprocess.Popen(
        [bench.data / "bin" / f"sluice-{name}"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port + 100}/health/ready", timeout=2):
                    return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() - began > 30:
                    raise AssertionError(f"{name} did not become ready") from None
                time.sleep(0.002)
    finally:
        process.terminate()
        process.wait(30)
