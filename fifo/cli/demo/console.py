"""A look at an instance's console: press Enter until it shows a prompt."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import grpc

from fifo.v1 import console_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.cli.demo.fleet_client import FleetClient

PROMPT: Final = re.compile(rb"[^\r\n\x1b]*# ")
"""What a shell says when it waits: the rest of its line is an answer of the terminal or an echo."""
PATIENCE_S: Final = 40.0
"""A small guest is there within ten seconds, on a busy machine in twice that."""
ENTER_S: Final = 0.5
"""How often Enter is pressed: a prompt that came before anybody looked comes again."""


def await_prompt(client: FleetClient, name: str) -> str:
    """Attach to a console and give the prompt, empty if none came in time.

    The echo of an Enter may stand behind it already, and the next prompt in part.
    """
    until_s = time.monotonic() + PATIENCE_S
    seen = b""
    answers = client.consoles.Attach(_typing(name, until_s), timeout=PATIENCE_S)
    try:
        for answer in answers:
            seen += answer.data
            if prompt_in(seen):
                break
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    answers.cancel()
    return prompt_in(seen)


def prompt_in(seen: bytes) -> str:
    """Give the last whole prompt in what a console wrote, empty if there is none yet."""
    found = PROMPT.findall(seen)
    return found[-1].decode(errors="replace").strip() if found else ""


def _typing(name: str, until_s: float) -> Iterator[console_service_pb2.AttachRequest]:
    first = console_service_pb2.AttachRequest()
    first.open.name = f"orgs/default/instances/{name}"
    first.open.mode = console_service_pb2.AttachRequest.Open.CONSOLE
    yield first
    while time.monotonic() < until_s:
        yield console_service_pb2.AttachRequest(data=b"\n")
        time.sleep(ENTER_S)
