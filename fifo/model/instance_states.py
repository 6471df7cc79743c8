"""The one table of an instance's states: what may happen in each, and what follows.

The agent's machine moves by it, the API refuses by it, the documentation is drawn from it, and a
test walks the full matrix.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from fifo.model.errors import WrongState
from fifo.model.instance import State

Happening = Literal[
    "created",
    "create_failed",
    "start",
    "started",
    "start_failed",
    "stop",
    "ended",
    "back_off",
    "give_up",
    "delete",
    "gone",
    "found_running",
    "found_stopped",
    "found_absent",
    "found_lost",
]

STATES: Final = get_args(State)
HAPPENINGS: Final = get_args(Happening)

NEXT: Final[dict[tuple[str, str], State]] = {
    ("provisioning", "created"): "stopped",
    ("provisioning", "create_failed"): "failed",
    ("provisioning", "delete"): "deleting",
    ("provisioning", "found_running"): "running",
    ("provisioning", "found_stopped"): "stopped",
    ("provisioning", "found_absent"): "provisioning",
    ("provisioning", "found_lost"): "failed",
    ("stopped", "start"): "starting",
    ("stopped", "delete"): "deleting",
    ("stopped", "found_running"): "running",
    ("stopped", "found_stopped"): "stopped",
    ("stopped", "found_absent"): "provisioning",
    ("stopped", "found_lost"): "failed",
    ("starting", "started"): "running",
    ("starting", "start_failed"): "failed",
    ("starting", "ended"): "stopped",
    ("starting", "back_off"): "backing_off",
    ("starting", "give_up"): "failed",
    ("starting", "stop"): "stopping",
    ("starting", "delete"): "deleting",
    ("starting", "found_running"): "running",
    ("starting", "found_stopped"): "stopped",
    ("starting", "found_absent"): "provisioning",
    ("starting", "found_lost"): "failed",
    ("running", "stop"): "stopping",
    ("running", "ended"): "stopped",
    ("running", "back_off"): "backing_off",
    ("running", "give_up"): "failed",
    ("running", "delete"): "deleting",
    ("running", "found_running"): "running",
    ("running", "found_stopped"): "stopped",
    ("running", "found_absent"): "provisioning",
    ("running", "found_lost"): "failed",
    ("stopping", "ended"): "stopped",
    ("stopping", "delete"): "deleting",
    ("stopping", "found_running"): "running",
    ("stopping", "found_stopped"): "stopped",
    ("stopping", "found_absent"): "provisioning",
    ("stopping", "found_lost"): "failed",
    ("backing_off", "start"): "starting",
    ("backing_off", "stop"): "stopped",
    ("backing_off", "delete"): "deleting",
    ("backing_off", "give_up"): "failed",
    ("backing_off", "found_running"): "running",
    ("backing_off", "found_stopped"): "backing_off",
    ("backing_off", "found_absent"): "provisioning",
    ("backing_off", "found_lost"): "failed",
    ("failed", "start"): "starting",
    ("failed", "stop"): "stopped",
    ("failed", "delete"): "deleting",
    ("failed", "found_running"): "running",
    ("failed", "found_stopped"): "failed",
    ("failed", "found_absent"): "failed",
    ("failed", "found_lost"): "failed",
    ("deleting", "gone"): "deleted",
    ("deleting", "found_running"): "deleting",
    ("deleting", "found_stopped"): "deleting",
    ("deleting", "found_absent"): "deleted",
}
"""(state, what happens) -> the state that follows; what is not here is illegal.

`found_...` is what reading the host says after a restart of the actor: the host is the truth.
What was never started has nothing to lose, and is made where it is absent; what was is not made
anew before somebody asks for that, since it would be an empty one of the same name.
"""


class Request(NamedTuple):
    """A verb of the API: the states it is legal in, and those in which there is nothing to do."""

    legal: frozenset[str]
    done: frozenset[str] = frozenset()


REQUESTS: Final[dict[str, Request]] = {
    "start": Request(
        frozenset({"stopped", "failed", "backing_off"}), frozenset({"running", "starting"})
    ),
    "stop": Request(
        frozenset({"running", "starting", "backing_off"}),
        frozenset({"stopped", "stopping", "failed"}),
    ),
    "reboot": Request(frozenset({"running"})),
    "hurry": Request(frozenset({"running", "stopping"})),
    "update": Request(frozenset(STATES) - {"provisioning", "deleting", "deleted"}),
    "delete": Request(frozenset(STATES) - {"deleted"}),
    "snapshot": Request(frozenset({"running", "stopped", "failed"})),
    "rollback": Request(frozenset({"running", "stopped", "failed"})),
    "exec": Request(frozenset({"running"})),
    "console": Request(frozenset({"running"})),
    "measure": Request(frozenset({"running", "stopping"})),
}
"""What the API admits (vmadm: start from stopped, reboot from running; start, stop idempotent).

`hurry` is a stop or reboot by force while one is under way: its status is told a moment later.
"""


_STAYING: Final = frozenset({"stopped", "failed"})
"""States that last until somebody asks for something."""


def after(state: str, happening: str) -> State:
    """Give the state that follows; raises WrongState for what is illegal."""
    try:
        return NEXT[state, happening]
    except KeyError:
        raise WrongState(
            f"{happening!r} cannot happen in state {state!r}", "", "this is a bug: please report it"
        ) from None


def admit(verb: str, state: str, name: str) -> bool:
    """Tell whether a request has anything to do; raises WrongState, which names the state."""
    request = REQUESTS[verb]
    if state in request.done:
        return False
    if state not in request.legal:
        raise WrongState(
            f"cannot {verb} in state {state}", name, _remedy(state, request),
            details={"state": state, "verb": verb},
        )  # fmt: skip
    return True


def _remedy(state: str, request: Request) -> str:
    """Say what leads to a state that a request is legal in; by itself only some come to an end."""
    if state in _STAYING and "running" in request.legal:
        return "start it first"
    if state in {"deleting", "deleted"}:
        return "create another"
    return f"wait until it is one of: {', '.join(sorted(request.legal))}"
