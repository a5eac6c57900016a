"""What deploy/checks and deploy/stack/packages refuse, on trees and machines made for it. Needs no running stack."""

import os
import shutil
import subprocess

import pytest
from stack import REPOSITORY

ROOT = [".gitignore", ".swift-format", "Package.swift", "README.md"]
SOUND = "0.11.0-1+deb12u3"


def run(command, **settings):
    """Answers with (exit status, all that it said)."""
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=60, check=False, env=os.environ | settings)
    return done.returncode, done.stdout


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# Files ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stray", [None, "t.sql", "notes.md"])
def test_nothing_lies_in_the_root_that_does_not_belong_there(tmp_path, stray):
    written(tmp_path, {name: "x\n" for name in [*ROOT, "Shared/Model/Word.swift", *([stray] if stray else [])]})
    check = tmp_path / "deploy" / "checks" / "files"
    check.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "deploy" / "checks" / "files", check)
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    code, said = run([check])
    if stray:
        assert code != 0 and "in the root of the repository" in said and stray in said.splitlines(), said
    else:
        assert code == 0, said


# Proofs --------------------------------------------------------------------------------------------------------------

TESTS = {
    "Tests/Outbox/RelayTests.swift": "@Suite struct RelayTests {\n  /// M07: a/b#1.\n  @Test func aRowIsSent() {}\n}\n",
    "Tests/Postgres/FaultTests.swift": "    @Test func `A pipeline does not stall`() async throws {\n",
    "Tests/Dispatch/ClaimingTests.swift": '    @Test("Nobody is in two places")\n    func exclusion() {}\n',
    "Tests/System/test_story.py": 'def test_a_story(city):\n    found.append(f"I1 in one place: {n} are not")\n',
}


def page(proof):
    return {"deploy/docs/guarantees.md": f"# Guarantees\n\n| fault | proved by |\n|---|---|\n| one | {proof} |\n"}


@pytest.mark.parametrize("proof", [
    "`aRowIsSent`", "`RelayTests`; Tests/Postgres `A pipeline does not stall`",
    "Tests/Dispatch `Nobody is in two places`, `exclusion`; `aRowIsSent`",
    "Tests/System `test_a_story`, `test_story.py`, `I1 in one place`"])
def test_a_proof_that_is_there_is_found(tmp_path, proof):
    code, said = run([REPOSITORY / "deploy/checks/proofs", written(tmp_path, TESTS | page(proof))])
    assert code == 0, said


@pytest.mark.parametrize(("proof", "missing"), [
    ("`aRowIsSent`, `aRowWasSent`", "aRowWasSent"),
    ("Tests/Postgres `aRowIsSent`", "aRowIsSent"),
    ("Tests/Dispatch `Nobody is in two`", "Nobody is in two"),
    ("Tests/Dispatch `exclusion`; `exclusion`", "exclusion"),
    ("Tests/Outbox and Tests/Dispatch `RelayTests`", "RelayTests"),
    ("Tests/System `I2 in one place`", "I2 in one place")])
def test_a_proof_that_is_not_there_is_named(tmp_path, proof, missing):
    code, said = run([REPOSITORY / "deploy/checks/proofs", written(tmp_path, TESTS | page(proof))])
    assert code != 0 and said.strip().endswith(f": {missing}"), said


def test_a_page_without_proofs_and_a_fault_without_its_source_are_refused(tmp_path):
    written(tmp_path, TESTS | {"deploy/docs/guarantees.md": "# Guarantees\n"})
    code, said = run([REPOSITORY / "deploy/checks/proofs", tmp_path])
    assert code != 0 and "names no test" in said, said
    fault = f"M{4:02}"  # not said here, where no source stands
    written(tmp_path, page("`aRowIsSent`") | {"Tests/Outbox/LaneTests.swift": f"/// {fault}: a priority.\n"})
    code, said = run([REPOSITORY / "deploy/checks/proofs", tmp_path])
    assert code != 0 and "Tests/Outbox/LaneTests.swift:1: " in said, said


# Packages ------------------------------------------------------------------------------------------------------------

def packages(tmp_path, version):
    """deploy/stack/packages on a machine with everything, and librabbitmq in that version. Nothing is installed."""
    programs = {
        "dpkg-query": f"""
            if [ "$3" = '${{Version}}' ]; then echo "{version}"; else echo installed; fi""",
        "apt-get": f"""
            echo "$*" >>{tmp_path}/asked""",
    }
    for name, text in programs.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    return run(
        [REPOSITORY / "deploy/stack/packages", "run"], PATH=f"{tmp_path}/bin:{os.environ['PATH']}",
        SLUICE_HOME=str(tmp_path / "home"))


@pytest.mark.parametrize("version", ["0.11.0-1", "0.11.0-1+deb12u2", "0.10.0-9"])
def test_a_library_with_holes_is_not_good_enough(tmp_path, version):
    """M29: alanxz/rabbitmq-c#878, alanxz/rabbitmq-c#892, alanxz/rabbitmq-c#899."""
    code, said = packages(tmp_path, version)
    assert code != 0 and f"librabbitmq-dev is older than {SOUND}" in said, said
    if os.geteuid() == 0:  # it was asked for, and the archive had no better one
        assert "install -y -q --no-install-recommends librabbitmq-dev" in (tmp_path / "asked").read_text()


@pytest.mark.parametrize("version", [SOUND, "0.11.0-1+deb12u10", "0.15.0-1"])
def test_a_library_without_them_is(tmp_path, version):
    code, said = packages(tmp_path, version)
    assert code == 0, said
    assert not (tmp_path / "asked").exists()
