"""A zone's first process: what it is, and what the kind of it needs and understands."""

from __future__ import annotations

import signal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

InitKind = Literal["program", "busybox", "systemd"]

HALT: Final[Mapping[InitKind, int]] = {
    "program": signal.SIGTERM,
    # busybox init: USR2 powers off, TERM reboots.
    "busybox": signal.SIGUSR2,
    # SIGRTMIN+3 starts halt.target; TERM makes it execute itself anew (systemd(1)).
    "systemd": 37,
}
"""The signal that asks each kind to stop in order."""
DEFAULT_COMMAND: Final = ("/sbin/init",)
PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final = (PATH, "TERM=xterm", "HOME=/root", "container=oci")


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an image says about how it wants to be started, as it is kept in the cache."""

    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    directory: str = "/"
    stop_signal: int = 0
    init_links: str = ""
    """What /sbin/init is a link to, if it is one."""


class Init(NamedTuple):
    """How the first process is started and asked to stop."""

    command: tuple[str, ...]
    environment: tuple[str, ...]
    directory: str
    kind: InitKind
    stop_signal: int


def choose(wanted: tuple[str, ...], image_command: tuple[str, ...], config: ImageConfig) -> Init:
    """Decide on the first process: the instance's own wish, the image record's, the image's own."""
    command = wanted or image_command or config.command or DEFAULT_COMMAND
    kind = kind_of(command, config)
    given = {entry.partition("=")[0] for entry in config.environment}
    own = tuple(entry for entry in ENVIRONMENT if entry.partition("=")[0] not in given)
    from_image = command == config.command and config.stop_signal > 0
    return Init(
        command,
        own + config.environment,
        config.directory or "/",
        kind,
        config.stop_signal if from_image else HALT[kind],
    )


def kind_of(command: tuple[str, ...], config: ImageConfig) -> InitKind:
    """Tell the kind of a first process by the name of its program, through /sbin/init's link."""
    program = command[0]
    if program in {"/sbin/init", "/usr/sbin/init", "/init"} and config.init_links:
        program = config.init_links
    match PurePosixPath(program).name:
        case "systemd":
            return "systemd"
        case "busybox":
            return "busybox"
        case _:
            return "program"


def ending(stop_signal: int, code: int | None, number: int | None) -> tuple[int | None, int | None]:
    """Give how a first process ended, as (exit code, signal), for who may power off by itself.

    The kernel ends the init of a process namespace by SIGINT when it halts or powers off, and by
    SIGHUP when it reboots (reboot(2)): the one is an orderly end, the other wants a new start and
    stays the signal that it is.
    """
    if stop_signal == HALT["systemd"] and number == signal.SIGINT:
        return 0, None
    return code, number
