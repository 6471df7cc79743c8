"""Pykka's own ThreadingActor: `ask().get()` from the main thread and from another actor.

Run as `python -m benchmarks.programs.pykka_threading ASKS`.
"""

from __future__ import annotations

import sys
from typing import Any

import pykka

from benchmarks.programs.meter import cpu_s, emit

_UNIT = "calls/CPU s"


class Server(pykka.ThreadingActor):
    """Answers everything with the message itself."""

    def on_receive(self, message: Any) -> Any:
        """Answer; on the actor's own thread."""
        return message


class Client(pykka.ThreadingActor):
    """Asks a server again and again and waits for each answer inside its handler."""

    def __init__(self, server: pykka.ActorRef[Server]) -> None:
        super().__init__()
        self._server = server

    def on_receive(self, message: int) -> None:
        """Ask `message` times; on the actor's own thread."""
        _ask(self._server, message)


def _ask(server: pykka.ActorRef[Server], asks: int) -> None:
    for _ in range(asks):
        server.ask("ping", block=False).get()


def main(argv: list[str]) -> None:
    """Measure both ways of asking; `argv` holds the number of asks."""
    asks = int(argv[0])
    server = Server.start()
    client = Client.start(server)
    try:
        emit("pykka_ask_from_main", asks / cpu_s(lambda: _ask(server, asks)), _UNIT)
        emit(
            "pykka_ask_from_actor", asks / cpu_s(lambda: client.ask(asks, block=False).get()), _UNIT
        )
    finally:
        client.stop()
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
