"""The debug mode that catches handlers which call what can block."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import GenServer
from supervisors.blocking import forbid_blocking
from supervisors.errors import BlockingCall
from supervisors.ports.thread_port import ThreadPort
from tests.supervisors.world import WORLDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisors.world import World


class Careless(GenServer):
    """Calls whatever it is sent, and answers with the error if there is one."""

    def handle_call(self, message: Any, caller: Any) -> Any:
        try:
            return message()
        except BlockingCall as error:
            return error


def connect() -> None:
    with socket.socket() as link:
        link.connect(("127.0.0.1", 9))


BLOCKING: dict[str, Callable[[], Any]] = {
    "open": lambda: Path("/etc/hostname").read_bytes(),
    "os.listdir": lambda: list(Path("/").iterdir()),
    "os.mkdir": lambda: Path("/nonexistent/directory").mkdir(),
    "os.remove": lambda: Path("/nonexistent").unlink(),
    "os.scandir": lambda: list(os.scandir("/")),
    "socket.connect": connect,
    "socket.getaddrinfo": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    "sqlite3.connect": lambda: sqlite3.connect(":memory:").close(),
    "subprocess.Popen": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    "time.sleep": lambda: vars(time)["sleep"](0),
}


@pytest.mark.parametrize("event", BLOCKING)
def test_a_call_that_can_block_raises_in_a_handler(world: World, event: str) -> None:
    careless = world.start(Careless)
    with forbid_blocking():
        answer = world.call(careless, BLOCKING[event])
    assert isinstance(answer, BlockingCall)
    assert answer.event == event
    assert "Careless" in str(answer)
    assert "port" in str(answer)


def test_a_handler_that_does_not_expect_it_ends(world: World) -> None:
    class Heedless(GenServer):
        def handle_cast(self, message: Any) -> None:
            Path("/etc/hostname").read_bytes()

    heedless = world.start(Heedless)
    with forbid_blocking():
        heedless.cast("read")
        world.settle()
    assert not heedless.is_alive()


def test_a_listener_is_told_and_the_call_goes_ahead(world: World) -> None:
    told: list[str] = []

    def listen(error: BlockingCall) -> None:
        told.append(error.event)
        Path("/etc/hostname").read_bytes()

    careless = world.start(Careless)
    with forbid_blocking(listen):
        assert world.call(careless, lambda: list(Path("/proc/self/task").iterdir()))
    assert told == ["os.listdir"]


def test_outside_of_handlers_everything_is_allowed(world: World) -> None:
    world.start(Careless)
    with forbid_blocking():
        assert Path("/etc/hostname").exists()
        assert list(Path("/").iterdir())
        vars(time)["sleep"](0)


@pytest.mark.parametrize("host", ["asyncio", "thread"])
def test_a_port_may_block_on_behalf_of_a_handler(host: str) -> None:
    world = WORLDS[host]()
    port = ThreadPort("files", {"read": lambda path: Path(path).read_text(encoding="utf-8")})

    class Reader(GenServer):
        async def handle_call(self, message: Any, caller: Any) -> Any:
            return await port.call("read", message)

    reader = world.start(Reader)
    with forbid_blocking():
        assert world.call(reader, "/proc/self/comm", None)
    world.wait(port.close())
    world.close()


def test_what_cannot_block_is_let_pass(world: World) -> None:
    def harmless() -> str:
        reader, writer = os.pipe()
        with os.fdopen(reader), os.fdopen(writer, "w"):
            pass
        with socket.socket() as link:
            link.setblocking(False)
            link.connect_ex(("127.0.0.1", 9))
        return "harmless"

    careless = world.start(Careless)
    with forbid_blocking():
        assert world.call(careless, harmless) == "harmless"


def test_switched_off_nothing_is_caught(world: World) -> None:
    careless = world.start(Careless)
    sleep = vars(time)["sleep"]
    with forbid_blocking():
        pass
    assert vars(time)["sleep"] is sleep
    assert world.call(careless, lambda: list(Path("/").iterdir()))


def test_an_inner_mode_gives_way_to_the_outer_one_again(world: World) -> None:
    told: list[BlockingCall] = []
    careless, call = world.start(Careless), BLOCKING["os.listdir"]
    with forbid_blocking():
        with forbid_blocking(told.append):
            assert not isinstance(world.call(careless, call), BlockingCall)
        assert isinstance(world.call(careless, call), BlockingCall)
    assert len(told) == 1
