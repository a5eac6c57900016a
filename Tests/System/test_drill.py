"""The storm drill on the running city: what its JSON says, and when its exit status is that of a finding."""

import csv

import pytest
from city import DISTRICTS
from stack import REPOSITORY, wait_for

# These may be read and not copied, so they lie beside the repository, or not at all.
FLOODED_STREETS = REPOSITORY.parent / "shared/data/norfolk/STORM_data_flooded_streets_2010-2016.csv"
CATCH_BASINS = REPOSITORY.parent / "shared/data/boston311/Catchbasin.csv"

TIMES = ("receipt", "emergency_to_claim", "emergency_to_notice", "routine_to_claim", "routine_to_notice")


@pytest.fixture
def drill(city, stack):
    """drill(*options): a storm over a calm and balanced city; answers with (exit status, report)."""
    def calm():
        for slug in DISTRICTS:
            city.calm(slug)

    calm()
    # What another test has lost is announced again, which a drill's own reconciliation leaves to others.
    wait_for(
        lambda: stack.sluicectl("reconcile", "--grace", "5", codes=(0, 3))[0] == 0, 200, every=5,
        why="the city is balanced before the drill")
    yield lambda *options: stack.sluicectl("drill", "storm", *options, codes=(0, 3))
    calm()


def assert_all_is_there(report, reports):
    """Every report is in, decided and in a case, and no event is missing."""
    assert report["reports_in"] == reports and report["refused"] == 0 and report["refusals"] == {}, report
    assert report["cases"] + report["merged"] + report["rejected"] == reports, report
    assert report["balance"]["reports"]["accepted"] >= reports
    assert report["balance"]["reports"]["missing"] == 0 and report["balance"]["reports"]["orphans"] == 0
    hops = {hop["publisher"]: hop for hop in report["balance"]["hops"]}
    assert set(hops) == {"intake", "dispatch", "notification"}
    assert all(hop["missing"] == [] for hop in hops.values()), hops


def test_a_short_storm_is_answered_by_people_and_balances_to_zero(drill):
    status, report = drill("--reports", "40", "--speed", "600", "--settle", "120")
    assert_all_is_there(report, 40)
    assert "made up" in report["script"] and report["speed"] == 600

    # Emergencies and routine work, and several reports of one problem.
    assert 0 < report["emergencies"] < 40
    assert 0 < report["emergency_cases"] < report["cases"] < 40 and report["merged"] > 0, report

    # Crews were claimed, went and finished what was urgent; offices were told and acknowledged.
    assert report["crews"] > 0 and report["orders_accepted"] > 0
    assert report["orders_done"] >= report["emergency_cases"], report
    assert report["notices"] >= report["emergency_cases"] and 0 < report["acknowledged"] <= report["notices"], report
    assert (report["emergencies_waiting"], report["emergencies_passed_over"], report["emergencies_untold"]) == (0, 0, 0)

    for name in TIMES:
        times = report[name]
        assert times["count"] > 0 and 0 <= times["p50"] <= times["p99"] <= times["max"], (name, times)
    assert report["receipt"]["count"] == 40
    assert report["emergency_to_claim"]["count"] <= report["emergency_cases"]
    assert status == 0, report


def test_emergencies_that_wait_because_nobody_is_at_work_are_shown_and_are_no_finding(drill, stack):
    assert stack.value(
        "SELECT count(*) FROM dispatch.crew_slot s JOIN dispatch.crew c USING (crew_id)"
        " WHERE s.shift_id IS NOT NULL AND NOT c.canary") == 0
    status, report = drill("--reports", "40", "--speed", "600", "--settle", "20", "--no-people")
    assert_all_is_there(report, 40)
    assert report["crews"] == report["orders_accepted"] == report["acknowledged"] == 0, report
    assert report.get("emergency_to_claim") is None and report["emergency_to_notice"]["count"] > 0, report
    assert report["emergencies_waiting"] == report["emergency_cases"] > 0, report
    assert report["emergencies_passed_over"] == 0 and report["emergencies_untold"] == 0, report
    assert status == 0, report


def test_a_report_that_is_refused_is_a_finding(drill, tmp_path):
    script = tmp_path / "storm.csv"
    script.write_text(
        "offset_s,lon,lat,category,person_at_risk,words\n"
        "0,114.064,22.534,gully_blocked,false,Gully is full of leaves\n"
        "1,10,50,gully_blocked,false,Far outside the city\n")
    status, report = drill("--script", str(script), "--settle", "60", "--no-people")
    assert (report["reports_in"], report["refused"], report["cases"]) == (1, 1, 1), report
    refusal, = report["refusals"]
    assert "HTTP 4" in refusal and "lon" in refusal, refusal
    assert status == 3


@pytest.mark.skipif(
    not (FLOODED_STREETS.exists() and CATCH_BASINS.exists()),
    reason="shared/data beside the repository lacks the files of Norfolk and Boston")
def test_a_part_of_the_real_storm_with_real_routine_load_balances_to_zero(drill, tmp_path):
    """Hurricane Irene in Norfolk, with three underpasses under water, and the first catch basins of Boston's year."""
    def part(source, name, wanted):
        with open(source, encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            chosen = [row for row in rows if wanted(row)]
            with open(tmp_path / name, "w", encoding="utf-8", newline="") as copy:
                writer = csv.DictWriter(copy, rows.fieldnames)
                writer.writeheader()
                writer.writerows(chosen)
        return str(tmp_path / name), len(chosen)

    storm, flooded = part(
        FLOODED_STREETS, "irene.csv", lambda row: "2011-08-27 22:" <= row["dt"] < "2011-08-28 10:45")
    routine, gullies = part(
        CATCH_BASINS, "gullies.csv", lambda row: row["OPEN_DT"].startswith(("01/02/2015", "01/04/2015")))
    assert flooded > 10 and gullies > 2
    status, report = drill("--script", storm, "--routine", routine, "--speed", "1200", "--settle", "120")
    assert_all_is_there(report, flooded + gullies)
    assert "Norfolk" in report["script"] and "Boston" in report["script"]
    assert 0 < report["emergency_cases"] < report["cases"], report
    assert report["emergencies_waiting"] == 0 and report["orders_done"] >= report["emergency_cases"], report
    assert status == 0, report
