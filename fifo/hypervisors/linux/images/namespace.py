"""A network namespace with nothing in it but loopback, and sockets of ours that listen there.

It has no name: it lives as long as somebody holds it open or is in it, so that nothing is left of
it, also when the node is killed. What a socket belongs to is settled when it is made, so one made
in there goes on working from the node's own loop, which never leaves the host's namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

LOOPBACK: Final = "127.0.0.1"
CLONE_NEWNET: Final = 0x40000000
"""From <sched.h>."""
SIOCSIFFLAGS: Final = 0x8914
"""Set an interface's flags (netdevice(7)); from <linux/sockios.h>."""
IFREQ: Final = "16sH22x"
"""struct ifreq on a machine of 64 bits: the interface's name, and its flags."""
IFF_UP: Final = 1
ADVICE: Final = "run the node as root with CAP_SYS_ADMIN, and see user.max_net_namespaces (sysctl)"

_libc = ctypes.CDLL(None, use_errno=True)


class Isolated(NamedTuple):
    """The namespace's path for nsenter(1), good while it is held open, and what listens in it."""

    path: str
    listeners: list[socket.socket]


async def isolated(addresses: Sequence[tuple[str, int]], held: ExitStack) -> Isolated:
    """Make one that listens at addresses of loopback, port 0 for any; `held` is to close it all.

    By a thread that ends with it: only a thread can be moved to another namespace, and none that
    is used again may be. Who gives this up waits until the thread has put into `held` what it made,
    as the kernel may keep it for seconds; the loop does not. Raises NotReady where the node may not
    make one.
    """
    own = ThreadPoolExecutor(max_workers=1)
    making = asyncio.get_running_loop().run_in_executor(own, _make, tuple(addresses), held)
    own.shutdown(wait=False)
    try:
        return await asyncio.shield(making)
    except OSError as error:
        raise NotReady(f"no network namespace can be made ({error})", "this host", ADVICE) from None
    finally:
        # Only after a cancellation is there something to wait for, and another may come then.
        while not making.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([making])


def _make(addresses: tuple[tuple[str, int], ...], held: ExitStack) -> Isolated:
    if _libc.unshare(CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    held_open = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, held_open)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", IFF_UP))
    listeners = [held.enter_context(socket.socket()) for _ in addresses]
    for listener, address in zip(listeners, addresses, strict=True):
        listener.bind(address)
        listener.listen()
    return Isolated(f"/proc/{os.getpid()}/fd/{held_open}", listeners)
