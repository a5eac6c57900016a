"""One stack for the whole run: that of SLUICE_HOME, or one of its own that is removed at the end."""

import pytest
from city import City
from outside import Hook, Mailbox
from stack import Stack


@pytest.fixture(scope="session")
def stack():
    stack = Stack()
    stack.up()
    yield stack
    if stack.own:
        stack.down()


@pytest.fixture(scope="session")
def city(stack):
    return City(stack)


@pytest.fixture(scope="session")
def hook(stack):
    hook = Hook(stack.hook_port)
    yield hook
    hook.close()


@pytest.fixture(scope="session")
def mailbox(stack):
    return Mailbox(stack.data / "mailbox")


@pytest.fixture
def on_shift(city):
    """on_shift(login): that crew is at work until the test ends."""
    shifts, calm = [], set()

    def start(login, **place):
        slug = login.split("-")[1]
        if slug not in calm:
            city.calm(slug)
            calm.add(slug)
        crew = city.person(login)
        answer = crew.act("/v1/shifts", place)
        if answer.status_code == 409 and answer.json()["code"] == "shift_is_open":
            return crew
        assert answer.status_code == 201, answer.text
        shifts.append((crew, answer.json()["shift_id"]))
        return crew

    yield start
    for crew, shift in shifts:
        crew.finish_work()
        crew.act(f"/v1/shifts/{shift}/end", {})


@pytest.fixture
def dispatcher(city):
    return city.person("dispatcher")
