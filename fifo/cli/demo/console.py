"""A look at an instance's console: press Enter until it shows a prompt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from fifo.v1 import console_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.cli.demo.fleet_client import FleetClient

PROMPT: Final = b"# "
PATIENCE_S: Final = 40.0
"""A small guest is there within ten seconds, on a busy machine in twice that."""
ENTER_S: Final = 0.5
"""How often Enter is pressed: a prompt that came before anybody looked comes again."""


def await_prompt(client: FleetClient, name: str) -> str:
    """Attach to a console and give the line of the prompt, empty if none came in time."""
    until_s = time.monotonic() + PATIENCE_S
    seen = b""
    answers = client.consoles.Attach(_typing(name, until_s), timeout=PATIENCE_S)
    for answer in answers:
        seen += answer.data
        if PROMPT in seen or time.monotonic() > until_s:
            break
    answers.cancel()
    line = seen.rpartition(b"\n")[2] if PROMPT in seen else b""
    return line.decode(errors="replace").partition("\x1b")[0].strip()


def _typing(name: str, until_s: float) -> Iterator[console_service_pb2.AttachRequest]:
    first = console_service_pb2.AttachRequest()
    first.open.name = f"orgs/default/instances/{name}"
    first.open.mode = console_service_pb2.AttachRequest.Open.CONSOLE
    yield first
    while time.monotonic() < until_s:
        yield console_service_pb2.AttachRequest(data=b"\n")
        time.sleep(ENTER_S)
