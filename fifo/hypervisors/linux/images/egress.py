"""The one way out of a program that goes wherever a server sends it: skopeo, told by a registry.

It runs in a network namespace that has nothing but loopback, where a SOCKS5 proxy (RFC 1928) of the
node's listens. Go's net/http hands that the names as they are in URLs, of redirects too; each is
resolved, checked and connected to by the address that was checked, from the host's own namespace.
What goes around the proxy reaches nothing.

Go asks no proxy about `localhost` and loopback's addresses. A registry there, where the host's
settings allow one, is reached by a door: what listens in its place and leads to it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from functools import partial
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.images.namespace import LOOPBACK, isolated
from fifo.model.errors import DriverFailed, FifoError, Forbidden

if TYPE_CHECKING:
    import socket
    from asyncio import StreamReader, StreamWriter, Timeout
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Ask = Callable[[str, int], list[str]]
    Stream = tuple[StreamReader, StreamWriter]
    Serve = Callable[[Stream, Timeout], Awaitable[None]]

VERSION: Final = 5
CONNECT: Final = 1
IPV4: Final = 1
NAME: Final = 3
IPV6: Final = 4
GRANTED: Final = 0
NOT_ALLOWED: Final = 2
UNREACHABLE: Final = 4
REFUSED: Final = 5
"""Of RFC 1928: the command, the kinds of address, and the replies, which Go puts into words."""
TLS_ADVICE: Final = "have the registry send addresses that begin with https://"


class Egress:
    """A way out, made for one use of `opened`; `netns` and `environment` are for its commands.

    `ask` gives the addresses that a host may be connected to, on a thread; `plain` allows targets
    of http:// URLs.
    """

    def __init__(self, ask: Ask, *, plain: bool) -> None:
        self.netns = ""
        self.environment: tuple[str, ...] = ()
        self._refused: list[FifoError] = []
        self._ask = ask
        self._plain = plain
        self._resolving = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def opened(self, host: str, port: int) -> AsyncIterator[None]:
        """Keep it open, with a door to a host on loopback; raises NotReady for a missing right."""
        # The door first: a port that the kernel chooses is none that is taken.
        doors = [(door, port)] if (door := _loopback(host)) else []
        async with contextlib.AsyncExitStack() as stack:
            held = stack.enter_context(contextlib.ExitStack())
            made = await isolated([*doors, (LOOPBACK, 0), (LOOPBACK, 0)], held)
            self.netns = made.path
            *direct, tls, plain = made.listeners
            self.environment = (f"HTTPS_PROXY={_url(tls)}", f"HTTP_PROXY={_url(plain)}")
            stack.push_async_callback(self._end)
            serves: list[tuple[socket.socket, Serve]] = [
                (tls, self._proxy),
                (plain, partial(self._proxy, plain=True)),
                *((each, partial(self._door, host, port)) for each in direct),
            ]
            for listener, serve in serves:
                server = await asyncio.start_server(partial(self._accept, serve), sock=listener)
                stack.callback(server.close)
            yield

    def refused(self) -> list[FifoError]:
        """Begin a list for the next command: why the first target that it may not reach is none.

        A command cannot tell that itself, and may get along without that target.
        """
        self._refused = []
        return self._refused

    async def _end(self) -> None:
        for each in self._connections:
            each.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, serve: Serve, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._connections) >= limits.EGRESS_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(_bounded(serve, (reader, writer)))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _proxy(self, near: Stream, idle: Timeout, *, plain: bool = False) -> None:
        """Lead to where SOCKS5 asks to; `plain` is for what comes of http:// URLs."""
        reasons = self._refused
        host, port = await _target(near)
        try:
            far = await self._connect(host, port, plain=plain)
        except FifoError as error:
            reasons += [] if reasons else [error]
            near[1].write(_reply(NOT_ALLOWED))
            return
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            near[1].write(_reply(REFUSED if refused else UNREACHABLE))
            return
        near[1].write(_reply(GRANTED))
        await _relay(near, far, idle)

    async def _door(self, host: str, port: int, near: Stream, idle: Timeout) -> None:
        reasons = self._refused
        try:
            far = await self._connect(host, port)
        except OSError as error:
            told = DriverFailed(f"no connection ({error})", f"{host}:{port}", "see what is there")
            reasons += [] if reasons else [told]
            return
        await _relay(near, far, idle)

    async def _connect(self, host: str, port: int, *, plain: bool = False) -> Stream:
        """Connect to a host if it may be; raises FifoError, OSError for the last of its addresses.

        One name at a time is looked up, since each takes a thread that others wait for.
        """
        async with self._resolving:
            addresses = await asyncio.to_thread(self._ask, host, port)
        if plain and not self._plain:
            raise Forbidden("is asked for without TLS", f"{host}:{port}", TLS_ADVICE)
        trouble = OSError("no address")
        for address in addresses:
            try:
                async with asyncio.timeout(limits.EGRESS_CONNECT_S):
                    return await asyncio.open_connection(address, port)
            except OSError as error:
                trouble = error
        raise trouble


async def _bounded(serve: Serve, near: Stream) -> None:
    """Serve a connection until it ends, breaks or is idle: its command tells what it missed."""
    with _closing(near), contextlib.suppress(OSError, EOFError):
        async with asyncio.timeout(limits.EGRESS_IDLE_S) as idle:
            await serve(near, idle)


@contextlib.contextmanager
def _closing(stream: Stream) -> Iterator[None]:
    """Close it, what was written first; when its task is given up, at once."""
    try:
        yield
    except asyncio.CancelledError:
        stream[1].transport.abort()
        raise
    finally:
        stream[1].close()


async def _target(near: Stream) -> tuple[str, int]:
    """Do SOCKS5's greeting, without authentication, and read what is to be connected to.

    Raises OSError, EOFError for what is none.
    """
    reader, writer = near
    version, methods = await reader.readexactly(2)
    await reader.readexactly(methods)
    writer.write(bytes((VERSION, 0)))
    version, command, _, kind = await reader.readexactly(4)
    if (version, command) != (VERSION, CONNECT) or kind not in {IPV4, NAME, IPV6}:
        raise ConnectionError("no request to connect of SOCKS5")
    if kind == NAME:
        (length,) = await reader.readexactly(1)
        host = (await reader.readexactly(length)).decode("ascii", errors="replace")
    else:
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == IPV4 else 16)))
    return host, int.from_bytes(await reader.readexactly(2), "big")


def _reply(code: int) -> bytes:
    return bytes((VERSION, code, 0, IPV4, *bytes(6)))


async def _relay(near: Stream, far: Stream, idle: Timeout) -> None:
    """Carry bytes both ways until one side has ended."""
    with _closing(far):
        ways = [
            asyncio.create_task(_carry(near[0], far[1], idle)),
            asyncio.create_task(_carry(far[0], near[1], idle)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _carry(reader: StreamReader, writer: StreamWriter, idle: Timeout) -> None:
    while data := await reader.read(limits.DOWNLOAD_CHUNK_BYTES):
        idle.reschedule(asyncio.get_running_loop().time() + limits.EGRESS_IDLE_S)
        writer.write(data)
        await writer.drain()


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()
    return f"socks5://{address}:{port}"


def _loopback(host: str) -> str:
    """Give the address of a host that Go reaches around any proxy; '' if it is none."""
    if host == "localhost":
        return LOOPBACK
    try:
        return host if ipaddress.ip_address(host).is_loopback else ""
    except ValueError:
        return ""
