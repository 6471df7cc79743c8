"""What a worker does: find the functions it may run, take a request, answer it, take the next.

The functions are those of the tables named `PORT_FUNCTIONS` in the modules a port is made with,

    PORT_FUNCTIONS = {"read": read_disk, "write": write_disk}

and nothing else can be called. Standard library and `frames` only: see `zygote`. The other kinds of
port answer requests by `answer` too, so that a function behaves alike in each of them.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from supervisors.ports.frames import ANY_SIZE, Decoder, decode, encode, frame

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

TABLE: Final = "PORT_FUNCTIONS"
READ_BYTES: Final = 65_536
"""Bytes asked for in one read: a page of the usual socket buffer."""


def load(modules: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Import the modules by their dotted names and join their tables.

    Raises what an import raises, AttributeError for a module without a table and ValueError for a
    name that stands in two of them. Imports block: never call this in a handler.
    """
    functions: dict[str, Callable[..., Any]] = {}
    for module in modules:
        for name, function in getattr(importlib.import_module(module), TABLE).items():
            if name in functions:
                raise ValueError(f"two functions are called {name!r}, the second in {module}")
            functions[name] = function
    return functions


def answer(functions: Mapping[str, Callable[..., Any]], body: bytes, limit_bytes: int) -> bytes:
    """Do what a request asks for and give the body of the reply.

    A request is {"id", "call", "args"}; a reply has the same id and one of "ok" (the value),
    "error" (type, message and place of what the function raised, or of a value that cannot be sent)
    and "refused" (nothing was called). SystemExit and the like pass: they end the worker.
    """
    request = decode(body)
    serial, name = request["id"], request["call"]
    function = functions.get(name)
    if function is None:
        return encode({"id": serial, "refused": f"{name!r} is in no table"}, limit_bytes)
    try:
        value = function(*request["args"])
    except Exception as error:  # noqa: BLE001 - it is the caller's to handle
        return _failure(serial, error, limit_bytes)
    try:
        return encode({"id": serial, "ok": value}, limit_bytes)
    except (TypeError, ValueError) as error:
        told = type(error)(f"the result cannot be sent: {error}")
        return _failure(serial, told, limit_bytes)


def _failure(serial: int, error: Exception, limit_bytes: int) -> bytes:
    kind = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide that the function failed
        message = "(its message cannot be shown)"
    try:
        return encode({"id": serial, "error": [kind, message, _place(error)]}, limit_bytes)
    except ValueError as too_large:
        told = f"(its message cannot be sent: {too_large})"
        return encode({"id": serial, "error": [kind, told, ""]}, limit_bytes)


def _place(error: Exception) -> str:
    """Say where the innermost frame of an error was, '' if it was never raised."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}"


def serve(link: socket.socket) -> None:
    """Answer the requests that come through a blocking socket until its other end is closed.

    The first frame says how to begin: {"path": sys.path of the node, "modules", "limit_bytes"}; it
    is answered by {"ready": names} or by {"unusable": why}, after which there is nothing to do.
    """
    decoder = Decoder(ANY_SIZE)
    waiting = _receive(link, decoder)
    if not waiting:
        return
    begin = decode(waiting.pop(0))
    sys.path[:] = begin["path"]
    try:
        functions = load(begin["modules"])
    except Exception as error:  # noqa: BLE001 - told to the port, which says it to its owner
        why = f"{type(error).__name__}: {error}"
        link.sendall(frame(encode({"unusable": why}, ANY_SIZE)))
        return
    ready = encode({"ready": sorted(functions)}, ANY_SIZE)
    link.sendall(frame(ready))
    while waiting or (waiting := _receive(link, decoder)):
        link.sendall(frame(answer(functions, waiting.pop(0), begin["limit_bytes"])))


def _receive(link: socket.socket, decoder: Decoder) -> list[bytes]:
    """Wait for the next whole frames; none when the other end was closed."""
    while data := link.recv(READ_BYTES):
        bodies = decoder.feed(data)
        if bodies:
            return bodies
    return []
