"""What few processes need, so that the others need not carry it."""

from __future__ import annotations

from typing import Any


class Extras:
    """The rarely needed part of one process, made at first use; touched on its shard's thread.

    `links`, `watchers` (who is told of the end) and `watching` (whose end it is told of) are by
    peer. A parked process has its `coroutine`, what that has `awaited`, and the message it serves:
    `kind`, `payload`, `future`. `deferred` are calls it will answer later, `stop_future` is who
    asked it to stop, `start` who waits for its init, `parting` the reply that its last call gets,
    `doom` the reason to end with once its code has left the stack. `timer` is what a `Timeout` of
    `timed_s` runs by, or a state machine's alarms. `groups` it is in; `idle` watches for idleness.
    """

    links: dict[Any, None] | None = None
    watchers: dict[Any, None] | None = None
    watching: dict[Any, None] | None = None
    coroutine: Any = None
    awaited: Any = None
    kind: int = -1
    payload: Any = None
    future: Any = None
    stop_future: Any = None
    deferred: set[Any] | None = None
    start: Any = None
    doom: Any = None
    parting: Any = None
    timer: Any = None
    timed_s: float | None = None
    groups: Any = None
    idle: Any = None
