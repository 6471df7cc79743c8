"""Payloads of `vmadm create`, as the messages that the API drafts specs of."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fifo.api.resources.instances import BRANDS, MODES, Message
from fifo.api.resources.values import set_duration, set_scalars
from fifo.model.errors import InvalidInput, Violation
from fifo.model.vmadm import read_payload

_STRUCTS: Final = frozenset({"customer_metadata", "internal_metadata", "tags", "extra"})
_PARTS: Final = frozenset({"nics", "disks", "filesystems"})
_NAMED: Final = {"wanted_host": "hypervisor"}


def message_of(data: bytes, field: str) -> tuple[Message, tuple[str, ...], tuple[Violation, ...]]:
    """Read a payload as a message, with what cannot be honoured, and what is wrong and left out.

    Raises InvalidInput for one of which nothing can be read.
    """
    payload = read_payload(data)
    wrong = tuple(Violation(f"{field}.{path}", wanted) for path, wanted in payload.violations)
    if wrong and not payload.fields:
        raise InvalidInput("vmadm payload", wrong)
    made = Message()
    told = {path.partition(".")[0] for path, _ in payload.violations}
    for name, value in payload.fields.items():
        # What is refused in a map may be a value that can stand nowhere in a message.
        if name not in told or not isinstance(value, dict):
            _set(made, name, value)
    return made, payload.unhonoured, wrong


def _set(made: Message, name: str, value: Any) -> None:
    if name == "brand":
        made.brand = BRANDS[value]
    elif name == "wanted":
        made.desired_state = Message.RUNNING if value == "running" else Message.STOPPED
    elif name == "restart":
        made.restart_policy.mode = MODES[value.when]
        set_duration(made.restart_policy.first_wait, value.first_s)
        set_duration(made.restart_policy.longest_wait, value.most_s)
        set_duration(made.restart_policy.window, value.window_s)
        made.restart_policy.factor = value.factor
        made.restart_policy.attempts = value.attempts
    elif name in _STRUCTS:
        set_scalars(getattr(made, name), value)
    elif name in _PARTS:
        for part in value:
            getattr(made, name).add(**_given(part))
    elif name == "routes":
        made.routes.update(value)
    elif isinstance(value, tuple | list):
        getattr(made, name).extend(value)
    else:
        setattr(made, _NAMED.get(name, name), value)


def _given(part: msgspec.Struct) -> dict[str, Any]:
    """Give the fields of a part that are not at their default: those the payload has set."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(part)}
    return {
        name: value
        for name, value in msgspec.structs.asdict(part).items()
        if value != defaults[name]
    }
