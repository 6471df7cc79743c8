"""Start, stop and reboot: from what a request says to the next generation of the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.api.resources.values import seconds_of
from fifo.model.instance import StopPatience
from fifo.model.instance_states import REQUESTS

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec, InstanceStatus
    from fifo.v1 import instance_service_pb2

    Stops = instance_service_pb2.StopInstanceRequest | instance_service_pb2.RebootInstanceRequest


def patience_of(request: Stops) -> float | None:
    """Give the seconds that a request lets the guest have; None: as is usual for its kind."""
    if request.force:
        return 0.0
    return seconds_of(request.timeout) if request.HasField("timeout") else None


def is_under_way(before: InstanceSpec, status: InstanceStatus | None, verb: str) -> bool:
    """Tell whether a stop or a reboot goes on that another one by force would make shorter."""
    if status is None or status.state not in REQUESTS["hurry"].legal:
        return False
    if verb == "stop":
        return before.wanted == "stopped"
    return before.wanted == "running" and status.boot_generation < before.boot_generation


def moved(
    before: InstanceSpec, verb: str, patience_s: float | None, *, hurried: bool
) -> InstanceSpec:
    """Make the next spec; one that hurries a reboot asks for no other one."""
    generation = before.generation + 1
    patience = None
    if patience_s is not None:
        patience = StopPatience(generation=generation, seconds=patience_s)
    anew = verb == "reboot" and not hurried
    # A cancelled reboot goes back to an older one, and no later reboot may have its number again.
    return msgspec.structs.replace(
        before,
        generation=generation,
        wanted="stopped" if verb == "stop" else "running",
        boot_generation=generation if anew else before.boot_generation,
        patience=patience,
    )
