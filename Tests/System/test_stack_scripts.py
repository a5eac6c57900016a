"""The scripts of deploy/ by themselves, in folders of their own: what they count by, keep, refuse and remove. Needs no
running stack."""

import contextlib
import functools
import http.client
import http.server
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest
from stack import REPOSITORY, _listening

IS_ROOT = os.geteuid() == 0


class Scripts:
    """deploy/ with a state folder, and nothing of the caller's settings."""

    def __init__(self, home, base, repository=REPOSITORY):
        self.home, self.base, self.repository = home, base, repository
        self.port = base + 180

    def run(self, script, *arguments, user=None, **settings):
        """Answers with (exit status, all that it said)."""
        environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith("SLUICE_") or name == "SLUICE_TEST_RUN"}
        environment |= {
            "SLUICE_HOME": str(self.home), "SLUICE_PORT_BASE": str(self.base), "SLUICE_HTTP_PORT": str(self.port),
            "SLUICE_BUILD": "debug", **settings}
        # Not through a pipe: what a script starts would hold it open.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                [str(self.repository / "deploy" / script), *arguments], stdin=subprocess.DEVNULL, stdout=said,
                stderr=said, env=environment, timeout=120, check=False, user=user, cwd="/")
            said.seek(0)
            return done.returncode, said.read()

    def good(self, script, *arguments, **settings):
        code, said = self.run(script, *arguments, **settings)
        assert code == 0, f"deploy/{script}: {said}"
        return said

    @property
    def data(self):
        return (self.home / "data").resolve()

    def copied(self, **replaced):
        """The same with a copy of deploy/ in which these scripts (by name, `/` as `__`) are others."""
        repository = self.home.parent / "repository"
        shutil.copytree(REPOSITORY / "deploy", repository / "deploy", ignore=shutil.ignore_patterns("docs"))
        for name, text in replaced.items():
            file = repository / "deploy" / name.replace("__", "/")
            file.write_text("#!/usr/bin/env bash\n" + text)
            file.chmod(0o755)
        return Scripts(self.home, self.base, repository)


@pytest.fixture
def folder():
    """Short, and open to the servers' accounts, unlike pytest's own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def scripts(folder):
    base = next(
        base for base in range(31200, 32600, 200)
        if not any(_listening(base + offset) for offset in (10, 20, 21, 110, 120, 121, 180, 181, 182)))
    scripts = Scripts(folder / "home", base)
    yield scripts
    for part in ("nginx", "services"):
        if (scripts.home / "data" / part.replace("services", "run")).is_dir():
            scripts.good(f"stack/{part}", "stop")
    if (scripts.home / "data").is_symlink():
        shutil.rmtree(scripts.data, ignore_errors=True)


@contextlib.contextmanager
def echo(port):
    """A service that keeps the headers of what it is asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


# nginx ---------------------------------------------------------------------------------------------------------------

def get(port, path, headers, address="127.0.0.1"):
    connection = http.client.HTTPConnection(address, port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_services_are_told_the_other_ends_address_and_not_what_it_claims(scripts):
    scripts.good("stack/nginx", "start")
    with echo(scripts.base + 10) as asked:
        get(scripts.port, "/v1/reports/x", {"X-Real-IP": "203.0.113.7", "X-Forwarded-For": "203.0.113.8"})
    assert asked[0].get_all("X-Real-IP") == ["127.0.0.1"]
    assert asked[0].get_all("X-Forwarded-For") == ["127.0.0.1"]


def test_a_proxy_in_front_is_believed_only_if_it_is_named(scripts):
    scripts.good("stack/nginx", "start", SLUICE_TRUSTED_PROXY="127.0.0.1,2001:db8::/32")
    with echo(scripts.base + 10) as asked:
        # What the proxy adds comes last; before it stands what its client wrote.
        get(scripts.port, "/v1/reports/x", {"X-Real-IP": "192.0.2.9", "X-Forwarded-For": "192.0.2.1, 203.0.113.7"})
        get(scripts.port, "/v1/reports/x", {"X-Real-IP": "192.0.2.9"})
    assert [headers.get_all("X-Real-IP") for headers in asked] == [["203.0.113.7"], ["127.0.0.1"]]
    assert "SLUICE_TRUSTED_PROXY=127.0.0.1,2001:db8::/32\n" in (scripts.home / "stack.env").read_text()


def test_a_trusted_proxy_that_is_no_address_changes_nothing(scripts):
    code, said = scripts.run("stack/nginx", "start", SLUICE_TRUSTED_PROXY="127.0.0.1; root /")
    assert code != 0 and "no address" in said
    assert not (scripts.data / "nginx" / "nginx.conf").exists()


@pytest.mark.parametrize("claim", ["Cookie: __Host-sluice=x", "Authorization: x"])
def test_a_claimed_sign_in_does_not_escape_the_limit_of_an_address(scripts, claim):
    scripts.good("stack/nginx", "start", SLUICE_TRUSTED_PROXY="127.0.0.1")

    def statuses(number, address):
        """Of so many writes, one after the other on one connection. Nothing listens behind nginx, so most get 503."""
        request = (
            f"POST /v1/cases HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n{claim}\r\n"
            "Content-Length: 0\r\n\r\n").encode()
        found, tail = {429: 0, 503: 0}, b""
        with socket.create_connection(("127.0.0.1", scripts.port), timeout=60) as connection:
            threading.Thread(target=connection.sendall, args=(request * number,), daemon=True).start()
            while sum(found.values()) < number:
                more = connection.recv(1 << 16)
                assert more, f"hung up after {found}"
                text = tail + more
                for status in found:
                    found[status] += text.count(b"HTTP/1.1 %d " % status)
                # Too short to hold a whole status line, which would be counted again.
                tail = text[-12:]
        return found

    assert statuses(8000, "203.0.113.7")[429] > 0
    assert statuses(1, "203.0.113.8") == {429: 0, 503: 1}, "another address has a budget of its own"


def test_nginx_lives_in_a_folder_with_a_blank_and_moves_to_another_port(scripts):
    scripts = Scripts(scripts.home / "my city", scripts.base)
    try:
        scripts.good("stack/nginx", "start")
        assert get(scripts.port, "/healthz", {}) == (200, b"ok\n")
        old, scripts.port = scripts.port, scripts.port + 1
        scripts.good("stack/nginx", "reload")
        assert get(scripts.port, "/healthz", {}) == (200, b"ok\n") and not _listening(old)
        scripts.good("stack/nginx", "reload", SLUICE_HTTP_ADDRESS="0.0.0.0")
        assert get(scripts.port, "/healthz", {}, "127.0.0.2") == (200, b"ok\n")
    finally:
        scripts.good("stack/nginx", "stop")


def test_a_reload_that_is_refused_says_so_and_changes_nothing(scripts):
    scripts.good("stack/nginx", "start")
    before = (scripts.data / "nginx" / "nginx.conf").read_text()
    code, said = scripts.run("stack/nginx", "reload", SLUICE_TRUSTED_PROXY="300.0.0.1")
    assert code != 0 and "refuses" in said and "running on" not in said
    with echo(scripts.port + 1):
        code, said = scripts.run("stack/nginx", "reload", SLUICE_HTTP_PORT=str(scripts.port + 1))
        assert code != 0 and "taken" in said and "running on" not in said
    assert (scripts.data / "nginx" / "nginx.conf").read_text() == before
    remembered = (scripts.home / "stack.env").read_text()
    assert f"SLUICE_HTTP_PORT={scripts.port}\n" in remembered and "300.0.0.1" not in remembered
    assert get(scripts.port, "/healthz", {}) == (200, b"ok\n")


# The sample city -----------------------------------------------------------------------------------------------------

@pytest.fixture
def stand_ins(scripts):
    """deploy/up with all that it calls stood in for; `home/empty` is what the database says of itself."""
    nothing = dict.fromkeys(
        ("stack__packages", "stack__rabbitmq", "stack__services", "stack__nginx", "stack__configuration"), "exit 0\n")
    scripts.home.mkdir()
    (scripts.home / "empty").write_text("t\n")
    return scripts.copied(
        **nothing,
        stack__postgres='[ "$1" != psql ] || cat "$SLUICE_HOME/empty"\n',
        sluicectl='echo "$1 ${SLUICE_DEMO_PASSWORD:-known}" | tee -a "$SLUICE_HOME/calls"\n')


def asked_for(scripts):
    """What sluicectl was asked for since the last time, but the schema: ["seed <password>", "drill …"]."""
    calls = scripts.home / "calls"
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return [line for line in lines if not line.startswith("migrate")]


def test_a_city_without_the_sample_never_gets_it_by_a_plain_up(stand_ins):
    stand_ins.good("up", "--no-build", "--no-seed")
    stand_ins.good("up", "--no-build")
    assert asked_for(stand_ins) == []
    stand_ins.good("up", "--no-build", "--seed")
    stand_ins.good("up", "--no-build", "--no-drill")
    assert asked_for(stand_ins) == ["seed known", "drill known", "seed known"]


def test_without_a_choice_only_an_empty_database_gets_the_sample(stand_ins):
    (stand_ins.home / "empty").write_text("f\n")
    stand_ins.good("up", "--no-build")
    assert asked_for(stand_ins) == []
    (stand_ins.home / "sample-city").unlink()
    (stand_ins.home / "empty").write_text("t\n")
    stand_ins.good("up", "--no-build")
    (stand_ins.home / "empty").write_text("f\n")
    stand_ins.good("up", "--no-build")
    assert asked_for(stand_ins) == ["seed known", "drill known", "seed known"]


OPEN_TO_OTHERS = {
    "address": {"SLUICE_HTTP_ADDRESS": "0.0.0.0"}, "proxy": {"SLUICE_PUBLIC_URL": "https://sluice.example.org"}}


@pytest.mark.parametrize("open_to_others", OPEN_TO_OTHERS.values(), ids=OPEN_TO_OTHERS)
def test_no_accounts_with_the_known_password_where_others_can_sign_in(stand_ins, open_to_others):
    for command in (["up", "--no-build"], ["up", "--no-build", "--seed"]):
        code, said = stand_ins.run(*command, **open_to_others)
        assert code != 0 and "SLUICE_DEMO_PASSWORD" in said
    assert asked_for(stand_ins) == []
    # Nothing of it is done before it is refused.
    (stand_ins.data / "postgres").mkdir()
    stand_ins.good("up", "--no-build")
    asked_for(stand_ins)
    code, said = stand_ins.run("up", "--no-build", **open_to_others)
    assert code != 0 and "everybody knows" in said and "schema" not in said
    stand_ins.good("up", "--no-build", "--no-seed", **open_to_others)
    assert asked_for(stand_ins) == []


@pytest.mark.parametrize("open_to_others", OPEN_TO_OTHERS.values(), ids=OPEN_TO_OTHERS)
def test_a_sample_with_the_known_password_is_not_opened_later(scripts, open_to_others):
    scripts.home.mkdir()
    (scripts.home / "sample-city").write_text("yes\n")
    scripts.good("stack/nginx", "start")
    scripts.good("stack/nginx", "stop")
    code, said = scripts.run("stack/nginx", "start", **open_to_others)
    assert code != 0 and "everybody knows" in said
    code, said = scripts.run("stack/nginx", "status")
    assert code == 3, said


def test_a_password_of_ones_own_is_remembered_and_nobody_else_reads_it(stand_ins):
    stand_ins.good("up", "--no-build", SLUICE_DEMO_PASSWORD="three blind mice", SLUICE_HTTP_ADDRESS="0.0.0.0")
    (stand_ins.home / "empty").write_text("f\n")
    # Too late for another: the accounts are there.
    stand_ins.good("up", "--no-build", "--no-drill", SLUICE_DEMO_PASSWORD="other", SLUICE_HTTP_ADDRESS="0.0.0.0")
    assert asked_for(stand_ins) == ["seed three blind mice", "drill three blind mice", "seed three blind mice"]
    for file in (stand_ins.home / "seed.out", stand_ins.home / "secrets" / "demo-password"):
        assert file.stat().st_mode & 0o077 == 0, file


# The services' files and binaries ------------------------------------------------------------------------------------

def has_services_account():
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam("sluice"))
    return False


@pytest.mark.skipif(not IS_ROOT or not has_services_account(), reason="only root can give files to the account sluice")
def test_configuration_leaves_the_services_what_is_theirs(scripts):
    scripts.good("stack/configuration")
    theirs = ["etc", "etc/intake.conf", "run", "attachments", "order-photos"]
    assert {name: (scripts.data / name).owner() for name in theirs} == dict.fromkeys(theirs, "sluice")


def test_every_instance_gets_the_new_binary(scripts):
    """A copy of Python stands in for dispatch: it says that it is ready, and for how long it does is up to us."""
    copy = scripts.copied()
    built = copy.repository / ".build" / "debug" / "sluice-dispatch"
    built.parent.mkdir(parents=True)
    shutil.copy(os.path.realpath("/usr/bin/python3"), built)
    copy.good("stack/configuration")
    version = subprocess.check_output(
        [built, "-c", "import sys; print('python%d.%d' % sys.version_info[:2], end='')"], text=True)
    packages = copy.data / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (copy.data / "bin").mkdir()
    (copy.data / "bin" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (packages / "start.pth").write_text("import ready\n")
    (packages / "ready.py").write_text(
        "import os, http.server as h\n"
        "class Ready(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200), self.end_headers()\n"
        "if port := os.environ.get('SLUICE_OPERATIONS_PORT'):\n"
        "    h.HTTPServer(('127.0.0.1', int(port)), Ready).serve_forever()\n")

    def pids():
        return [copy.good("stack/services", "pid", name) for name in ("dispatch", "dispatch.1")]

    copy.good("stack/services", "start", "dispatch", "dispatch.1")
    before = pids()
    copy.good("stack/services", "start", "dispatch", "dispatch.1")
    assert pids() == before, "the same binary: nothing to do"
    with open(built, "ab") as binary:
        binary.write(b"newer")
    copy.good("stack/services", "start", "dispatch", "dispatch.1")
    assert not set(pids()) & set(before)


# Settings ------------------------------------------------------------------------------------------------------------

def settings_of(scripts, service):
    lines = (scripts.data / "etc" / f"{service}.conf").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)


@pytest.mark.parametrize("by_file", [False, True], ids=["password", "file"])
def test_the_sign_in_at_a_mail_server_reaches_notification_and_is_remembered(scripts, folder, by_file):
    authority = folder / "authority.pem"
    authority.write_text("certificate")
    password = "p#ss = 口令"
    (folder / "password").write_text(password + "\n")
    given = {"SLUICE_SMTP_PASSWORD_FILE": str(folder / "password")} if by_file else {"SLUICE_SMTP_PASSWORD": password}
    scripts.good(
        "stack/services", "start", "mailbox", SLUICE_SMTP_HOST="mail.example.org", SLUICE_SMTP_TLS="starttls",
        SLUICE_SMTP_USER="sluice", SLUICE_SMTP_CA_FILE=str(authority), **given)
    (folder / "password").unlink()
    for _ in range(2):
        found = settings_of(scripts, "notification")
        assert found["SLUICE_SMTP_USER"] == "sluice" and found["SLUICE_SMTP_PASSWORD"] == password
        copy = pathlib.Path(found["SLUICE_SMTP_CA_FILE"])
        assert copy.read_text() == "certificate" and copy.owner() == (scripts.data / "etc").owner()
        scripts.good("stack/configuration")
    assert (scripts.home / "secrets" / "smtp-password").stat().st_mode & 0o777 == 0o600
    assert password not in (scripts.home / "stack.env").read_text()
    assert "SLUICE_SMTP_USER" not in settings_of(scripts, "intake")


@pytest.mark.parametrize("wrong", [
    {"SLUICE_SMTP_USER": "sluice"}, {"SLUICE_SMTP_PASSWORD": "a\nSLUICE_SMTP_TLS=disable"},
    {"SLUICE_SMTP_PASSWORD": "a", "SLUICE_SMTP_PASSWORD_FILE": "/dev/null"}, {"SLUICE_SMTP_PASSWORD_FILE": "/nowhere"},
    {"SLUICE_SMTP_CA_FILE": "/nowhere"}], ids=lambda wrong: " ".join(wrong))
def test_a_mail_setting_that_cannot_be_used_is_named_and_changes_nothing(scripts, wrong):
    scripts.good("stack/configuration")
    before = settings_of(scripts, "notification")
    code, said = scripts.run("stack/configuration", **wrong)
    assert code != 0 and next(iter(wrong)) in said
    assert settings_of(scripts, "notification") == before


# Where the data are --------------------------------------------------------------------------------------------------

@pytest.fixture
def somebody(scripts, folder):
    """run(script, …) as somebody who is not root, in a folder whose path is too long for a socket."""
    theirs = folder / "somebody"
    (theirs / "home").mkdir(parents=True)
    user = "nobody" if IS_ROOT else None
    if IS_ROOT:
        for place in (theirs, theirs / "home"):
            shutil.chown(place, user)
    long = Scripts(theirs / ("a-long-name" * 6), scripts.base, scripts.copied().repository)
    long.run = functools.partial(
        long.run, user=user, HOME=str(theirs / "home"), XDG_RUNTIME_DIR=str(theirs), XDG_STATE_HOME="")
    return long


def test_data_that_need_a_shorter_path_outlive_a_boot(somebody):
    somebody.good("stack/configuration")
    assert (somebody.home / "data").is_symlink()
    assert somebody.data.parent == somebody.home.parent / "home" / ".local" / "state"
    assert len(str(somebody.data / "postgres-run/.s.PGSQL.65535")) <= 107


def test_data_that_are_gone_are_named_and_not_made_anew(somebody):
    somebody.good("stack/configuration")
    (somebody.home / "stack.env").write_text(f"SLUICE_PORT_BASE={somebody.base}\n")
    gone = somebody.data
    gone.rename(gone.with_name("elsewhere"))
    for script in (["stack/configuration"], ["down"], ["down", "--purge", "--yes"]):
        code, said = somebody.run(*script)
        assert code != 0 and str(gone) in said and "bring it back" in said
    gone.with_name("elsewhere").rename(gone)
    somebody.good("stack/configuration")


def test_data_do_not_go_where_a_link_of_that_name_leads(somebody):
    somebody.good("stack/configuration")
    name = somebody.data
    (somebody.home / "data").unlink()
    name.rename(name.with_name("other"))
    name.symlink_to(name.with_name("other"))
    code, said = somebody.run("stack/configuration")
    assert code != 0 and "somebody else's" in said


# deploy/down --purge -------------------------------------------------------------------------------------------------

def test_a_folder_that_is_no_stacks_is_left_alone(scripts):
    scripts.home.mkdir()
    (scripts.home / "keep.txt").write_text("mine")
    code, said = scripts.run("down", "--purge", "--yes")
    assert code != 0 and "no stack" in said
    assert [file.name for file in scripts.home.iterdir()] == ["keep.txt"]


def test_a_purge_takes_what_the_stack_made_and_nothing_else(scripts):
    scripts.good("stack/nginx", "start")
    scripts.good("stack/nginx", "stop")
    scripts.good("stack/configuration")
    elsewhere = scripts.home.parent / "disk"
    (scripts.home / "data").rename(elsewhere)
    (scripts.home / "data").symlink_to(elsewhere)
    for name in ("test/data/postgres/base", "bench/keep", "venv/bin/python", "settings/all.conf", ".test.lock"):
        (scripts.home / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts.home / name).write_text("")
    (elsewhere / "photos of the holidays").mkdir()
    said = scripts.good("down", "--purge", "--yes")
    assert "stays" in said
    assert sorted(file.name for file in scripts.home.iterdir()) == [
        ".test.lock", "bench", "data", "settings", "test", "venv"]
    assert (scripts.home / "test/data/postgres/base").exists()
    assert [file.name for file in elsewhere.iterdir()] == ["photos of the holidays"]


def test_a_purge_of_nothing_but_a_stack_leaves_no_folder(scripts):
    scripts.good("stack/nginx", "start")
    scripts.good("stack/configuration")
    scripts.good("down", "--purge", "--yes")
    assert not scripts.home.exists()
