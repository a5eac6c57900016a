"""The first things that a page tells its reader to type work as they stand on the page."""

import os
import re
import subprocess

import pytest
from pages import ADDRESS, Page
from stack import REPOSITORY

# Each service's "Trying it" uses the names of the first page.
README = "README.md"
REPORTING = [README, "deploy/docs/intake.md", "deploy/docs/http.md"]
LOOKING = [
    README, "deploy/docs/http.md", "deploy/docs/dispatch.md", "deploy/docs/gis-sync.md", "deploy/docs/notification.md",
    "deploy/docs/scoring.md",
]
# A word that stands for something that the reader has at hand by then.
PLACEHOLDER = re.compile(r"[/=@][A-Z]{2,}\b|…")

# The status of each answer goes to standard output, its head and body to the other.
CURL = """curl() { command curl -sS "$@" -o /dev/stderr -w '%{http_code}\\n'; }"""


def settings_for(page):
    return f"{Page(README).settings}\n{page.settings}"


def typed(stack, page, statement, **values):
    """Types the page's settings and the statement; answers with (statuses, all that was answered)."""
    settings = settings_for(page).replace(ADDRESS, stack.url)
    given = "".join(f"{name}='{value}'\n" for name, value in values.items())
    script = "\n".join(["set -eu", CURL, settings, given, statement.replace(ADDRESS, stack.url)])
    done = subprocess.run(
        ["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        cwd=REPOSITORY, env={name: value for name, value in os.environ.items() if not name.endswith("_proxy")})
    assert done.returncode == 0, f"{page.path}: {statement}: {done.stderr}"
    return [int(line) for line in done.stdout.split()], done.stderr


@pytest.mark.parametrize("path", REPORTING)
def test_the_report_of_the_page_is_taken(stack, path):
    page = Page(path)
    reports = [text for text in page.statements if "/v1/reports" in text and " -d " in text]
    assert reports, f"{path} shows no report"
    before = [text for text in page.statements if re.match(r"\w+=", text)]
    for report in reports:
        statuses, answer = typed(stack, page, "\n".join([*before, report]))
        assert statuses and set(statuses) == {201}, f"{path}: {statuses} {answer}"
        # What is sent twice is one report.
        again = answer.lower().count("idempotent-replayed: true")
        assert again == len(statuses) - 1, answer
        assert len(set(re.findall(r'"tracking_url":"([^"]*)"', answer))) == 1, answer


@pytest.mark.parametrize("path", LOOKING)
def test_what_the_page_looks_at_is_shown(city, stack, path):
    receipt = city.report("futian", category="gully_blocked")
    known = {"CODE": receipt["code"], "CASE": city.case_of(receipt), "DISTRICT": city.district("futian")}
    given = {"URL": stack.url, "TOKEN": city.token("dispatcher"), "CASE": known["CASE"]}
    page, looked = Page(path), 0
    names = given.keys() | set(re.findall(r"^(\w+)=", settings_for(page), re.M))
    for statement in page.statements:
        if "curl" not in statement or re.search(r" -(X|d|F) |If-Match", statement):
            continue
        wanted = re.sub(r"(?<=[/=])(CODE|CASE|DISTRICT)\b", lambda found: known[found.group()], statement)
        if PLACEHOLDER.search(wanted) or not names >= set(re.findall(r"\$(\w{2,}|[A-Z])", wanted)):
            continue
        statuses, answer = typed(stack, page, wanted, **given)
        assert statuses == [200], f"{path}: {statement}: {statuses} {answer}"
        looked += 1
    assert looked, f"nothing of {path} could be tried"
