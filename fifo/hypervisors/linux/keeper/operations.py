"""What clients may ask: one row an operation, by its name in the request."""

from __future__ import annotations

import base64
import fcntl
import os
import signal
import struct
import termios
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.commands import Wish
from fifo.hypervisors.linux.keeper.connection import Channel, Connection
from fifo.hypervisors.linux.keeper.fields import Fields, Refusal
from fifo.hypervisors.linux.keeper.instances import Adoption, Start
from fifo.hypervisors.linux.keeper.logs import LogFile
from fifo.hypervisors.linux.keeper.program import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.linux.keeper.commands import Command, Commands
    from fifo.hypervisors.linux.keeper.console_sockets import ConsoleSockets
    from fifo.hypervisors.linux.keeper.consoles import Consoles
    from fifo.hypervisors.linux.keeper.instances import Instances
    from fifo.hypervisors.linux.keeper.journal import Journal

    Result = dict[str, Any] | None

VERSION: Final = 1
"""Of the protocol: what a client and this keeper agree on at hello."""


class Parts(NamedTuple):
    """What the operations work on."""

    commands: Commands
    instances: Instances
    consoles: Consoles
    sockets: ConsoleSockets
    journal: Journal
    boot_id: str
    stop: Callable[[], None]


class Asked(NamedTuple):
    """A request: who asks, its number, and its fields less operation and number."""

    connection: Connection
    number: Any
    fields: Fields


def handle(parts: Parts, connection: Connection, request: dict[str, Any]) -> None:
    """Do a request and answer it, now or later; raises nothing a request can cause."""
    number = request.pop("id", None)
    name = request.pop("op", None)
    try:
        if name != "hello" and not connection.greeted:
            raise Refusal("not_greeted", "the first request has to be `hello`")  # noqa: TRY301
        if not isinstance(name, str) or name not in OPERATIONS:
            raise Refusal(  # noqa: TRY301 -- answered as every other refusal
                "unknown_operation", f"this keeper knows no {name!r}; restart it if it is older"
            )
        result = OPERATIONS[name](parts, Asked(connection, number, Fields(request)))
        if result is not None:
            # What an answer tells must be known to the next keeper too.
            parts.journal.flush()
            connection.answer(number, result)
    except Refusal as refusal:
        connection.refuse(number, refusal.code, refusal.message)


def _hello(parts: Parts, asked: Asked) -> Result:
    low = asked.fields.integer("oldest", 1, 2**31)
    high = asked.fields.integer("newest", low, 2**31)
    if not low <= VERSION <= high:
        asked.connection.refuse(
            asked.number, "unknown_version", f"this keeper speaks version {VERSION} alone"
        )
        asked.connection.finish()
        return None
    # More fields are taken without complaint here alone: a newer client says more of itself.
    asked.connection.greeted = True
    ledger = parts.journal.ledger
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "boot_id": parts.boot_id,
        "journal": ledger.journal,
        "first_seq": ledger.first_seq(),
        "next_seq": ledger.next_seq,
    }


def _run(parts: Parts, asked: Asked) -> Result:
    connection, number, fields = asked
    wish = Wish.of(fields)
    streams = fields.flag("stream")
    fields.end()
    if not isinstance(number, int) or number in connection.commands:
        raise Refusal("bad_request", "id: a number that no other running command has is wanted")

    def answer(result: dict[str, Any]) -> None:
        connection.commands.pop(number, None)
        connection.answer(number, result)

    def stream(name: str, data: bytes) -> bool:
        text = base64.b64encode(data).decode("ascii")
        connection.send({"event": "output", "id": number, "stream": name, "data": text})
        if not connection.congested():
            return True
        connection.when_free(lambda: parts.commands.resume(command))
        return False

    command: Command = parts.commands.run(wish, answer, stream if streams else None)
    connection.commands[number] = command
    return None


def _cancel(parts: Parts, asked: Asked) -> Result:
    command = asked.connection.commands.get(asked.fields.integer("run", 0, 2**53))
    asked.fields.end()
    if command is not None:
        parts.commands.cancel(command)
    return {}


def _settle(parts: Parts, asked: Asked) -> Result:
    connection, number, fields = asked
    patience_ms = fields.integer("patience_ms", 0, limits.DEADLINE_MS_MAX)
    fields.end()
    parts.commands.settle(patience_ms / 1000, lambda: connection.answer(number, {}))
    return None


def _input(parts: Parts, asked: Asked) -> Result:
    command = asked.connection.commands.get(asked.fields.integer("run", 0, 2**53))
    data, end = asked.fields.data("data", limits.INPUT_BYTES_MAX), asked.fields.flag("end")
    asked.fields.end()
    if command is not None:
        parts.commands.give(command, data or b"", end=end)
    return {}


def _hold(parts: Parts, asked: Asked) -> Result:
    command = asked.connection.commands.get(asked.fields.integer("run", 0, 2**53))
    on = asked.fields.flag("on")
    asked.fields.end()
    if command is not None:
        parts.commands.hold(command, on=on)
    return {}


def _spawn(parts: Parts, asked: Asked) -> Result:
    start = Start.of(asked.fields)
    known = parts.instances.known(start.instance, start.start_id)
    if known is not None or not start.terminal:
        return known or parts.instances.spawn(start, None)
    try:
        master, terminal = os.openpty()
    except OSError as error:
        raise refused(error, "a terminal") from None
    try:
        # A size at which no program divides by zero; whoever attaches sets his own.
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        found = parts.instances.spawn(start, terminal)
    except Refusal:
        os.close(master)
        raise
    finally:
        os.close(terminal)
    parts.consoles.open_terminal(start.instance, master, start.log)
    return found


def _adopt(parts: Parts, asked: Asked) -> Result:
    adoption = Adoption.of(asked.fields)
    known = parts.instances.known(adoption.instance, adoption.start_id)
    return known or parts.instances.adopt(adoption, is_command=adoption.pid in parts.commands)


def _signal(parts: Parts, asked: Asked) -> Result:
    instance, start_id = asked.fields.name("instance"), asked.fields.name("start_id")
    number = asked.fields.integer("signal", 1, signal.NSIG - 1)
    asked.fields.end()
    parts.instances.signal(instance, start_id, number)
    return {}


def _inventory(parts: Parts, asked: Asked) -> Result:
    asked.fields.end()
    return {"instances": parts.instances.inventory()}


def _forget(parts: Parts, asked: Asked) -> Result:
    instance = asked.fields.name("instance")
    asked.fields.end()
    parts.instances.forget(instance)
    parts.consoles.close(instance)
    return {}


def _exits(parts: Parts, asked: Asked) -> Result:
    ledger = parts.journal.ledger
    start = asked.fields.integer("from", 1, 2**53)
    asked.fields.end()
    if start > ledger.next_seq:
        raise Refusal(
            "unknown_seq",
            f"{start} is beyond the next number {ledger.next_seq} of journal {ledger.journal};"
            " it is another journal: take the inventory",
        )
    asked.connection.answer(
        asked.number,
        {"first_seq": ledger.first_seq(), "next_seq": ledger.next_seq, "journal": ledger.journal},
    )
    asked.connection.reads_exits = True
    for record in ledger.exits:
        if record["seq"] >= start:
            asked.connection.send({"event": "exit", **record})
    return None


def _ack(parts: Parts, asked: Asked) -> Result:
    number = asked.fields.integer("seq", 0, 2**53)
    asked.fields.end()
    parts.journal.record({"entry": "ack", "seq": min(number, parts.journal.ledger.next_seq - 1)})
    return {}


# --- consoles -----------------------------------------------------------------------------------


def _console_listen(parts: Parts, asked: Asked) -> Result:
    name, log = asked.fields.name("console"), LogFile.of(asked.fields.nested("log"))
    asked.fields.end()
    path = parts.sockets.open(lambda master: parts.consoles.open_terminal(name, master, log))
    return {"path": str(path)}


def _console_connect(parts: Parts, asked: Asked) -> Result:
    name, log = asked.fields.name("console"), LogFile.of(asked.fields.nested("log"))
    path = asked.fields.path("path")
    asked.fields.end()
    parts.consoles.open_socket(name, path, log)
    return {}


def _attach(parts: Parts, asked: Asked) -> Result:
    connection, number, fields = asked
    name, writes, takes_over = fields.name("console"), fields.flag("write"), fields.flag("take")
    fields.end()
    if not isinstance(number, int) or number in connection.channels:
        raise Refusal("bad_request", "id: a number that no other channel has is wanted")
    channel = Channel(connection, number, name, parts.consoles)
    ring = parts.consoles.attach(name, channel, writes=writes, takes_over=takes_over)
    connection.channels[number] = channel
    connection.answer(number, {"channel": number})
    if ring:
        channel.show(ring)
    if parts.consoles.ended(name):
        channel.leave()
        channel.detached("ended")
    return None


def _channel(asked: Asked) -> Channel:
    channel = asked.connection.channels.get(asked.fields.integer("channel", 0, 2**53))
    if channel is None:
        raise Refusal("no_channel", "this channel is detached; attach again")
    return channel


def _write(parts: Parts, asked: Asked) -> Result:
    channel, data = _channel(asked), asked.fields.data("data", limits.INPUT_BYTES_MAX)
    asked.fields.end()
    parts.consoles.write(channel.name, channel, data or b"")
    return {}


def _resize(parts: Parts, asked: Asked) -> Result:
    channel = _channel(asked)
    rows, columns = (asked.fields.integer(name, 1, 0xFFFF) for name in ("rows", "columns"))
    asked.fields.end()
    parts.consoles.resize(channel.name, rows, columns)
    return {}


def _detach(_: Parts, asked: Asked) -> Result:
    channel = _channel(asked)
    asked.fields.end()
    channel.leave()
    return {}


def _shutdown(parts: Parts, asked: Asked) -> Result:
    force = asked.fields.flag("force")
    asked.fields.end()
    busy = len(parts.instances) + len(parts.commands)
    if busy and not force:
        raise Refusal(
            "busy",
            f"{len(parts.instances)} instances and {len(parts.commands)} commands run, whose exit"
            " status would be lost; stop them, or use force",
        )
    asked.connection.answer(asked.number, {})
    parts.stop()
    return None


OPERATIONS: Final[dict[str, Callable[[Parts, Asked], Result]]] = {
    "hello": _hello,
    "run": _run,
    "cancel": _cancel,
    "settle": _settle,
    "input": _input,
    "hold": _hold,
    "spawn": _spawn,
    "adopt": _adopt,
    "signal": _signal,
    "inventory": _inventory,
    "forget": _forget,
    "exits": _exits,
    "ack": _ack,
    "console_listen": _console_listen,
    "console_connect": _console_connect,
    "attach": _attach,
    "write": _write,
    "resize": _resize,
    "detach": _detach,
    "shutdown": _shutdown,
}
