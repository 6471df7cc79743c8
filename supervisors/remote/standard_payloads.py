"""The payload classes every node knows: exit reasons and the errors that calls end with."""

from __future__ import annotations

from typing import Any, Final

import pykka

from supervisors._pykka import ActorStop
from supervisors.errors import (
    CallExit,
    CallTimeout,
    ChildError,
    MailboxFull,
    PayloadError,
    RemoteError,
)  # fmt: skip
from supervisors.reasons import Opaque, RemoteCrash, Shutdown


def _attributes(*names: str) -> Any:
    return lambda value: {name: getattr(value, name) for name in names}


STANDARD: Final[tuple[tuple[type, str, Any, Any], ...]] = (
    (Shutdown, "shutdown", None, None),
    (RemoteCrash, "crash", None, None),
    (Opaque, "opaque", None, None),
    (ActorStop, "stop", lambda _: {}, lambda _: ActorStop()),
    (CallExit, "call_exit", _attributes("target", "reason"), lambda fields: CallExit(**fields)),
    (
        CallTimeout,
        "call_timeout",
        _attributes("target", "timeout_s"),
        lambda fields: CallTimeout(**fields),
    ),
    (
        ChildError,
        "child_error",
        _attributes("request", "child", "reason"),
        lambda fields: ChildError(**fields),
    ),
    (
        MailboxFull,
        "mailbox_full",
        _attributes("target", "limit"),
        lambda fields: MailboxFull(**fields),
    ),
    (
        RemoteError,
        "error",
        _attributes("type_name", "text"),
        lambda fields: RemoteError(**fields),
    ),
    (PayloadError, "payload_error", lambda e: {"text": str(e)}, lambda f: PayloadError(f["text"])),
    (
        pykka.ActorDeadError,
        "dead",
        lambda error: {"text": str(error)},
        lambda fields: pykka.ActorDeadError(fields["text"]),
    ),
)
"""(class, name, take apart, put together); dataclasses bring the two functions themselves."""
