"""Hosts that this control node has not met since it was started: they may be there in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from fifo.model.errors import FifoError
    from fifo.model.hypervisor import HypervisorStatus
    from fifo.workflows.workflow import Run

REFUSED: Final = "refused_not_ready"
"""The detail of a refusal by all hosts that counts those that were not ready."""


def while_unmet(run: Run, refusal: FifoError, brands: AbstractSet[str]) -> FifoError:
    """Give the refusal by all hosts that are ready, or Unavailable while another is to be met.

    Called by a step that chooses a host, in the runner's process: at a start the API answers, and
    what a node was killed in is taken up, before the agents have looked at their hosts. One that
    was not met for long, or went away since, is waited for no more: what the node before this one
    told of its absence does not count.
    """
    statuses, awaited = run.catalog.host_statuses, run.hosts.awaited()
    away = [entry.record for entry in statuses if entry.record.condition != "ready"]
    unmet = [uid for uid in awaited if statuses.get(uid) is None]
    for status in away:
        is_unmet = not status.told or status.uid in awaited
        if is_unmet and _may_run(status, brands):
            unmet.append(status.uid)
    if unmet:
        return _later(refusal, f"hypervisors/{unmet[0]}")
    # Who decided has not seen the last of them come.
    if int(refusal.details.get(REFUSED, "0")) > len(away):
        return _later(refusal, refusal.subject)
    return refusal


def may_come(run: Run, brands: AbstractSet[str]) -> bool:
    """Tell whether a host is away, for however long, that may run one of some brands."""
    statuses = (entry.record for entry in run.catalog.host_statuses)
    return any(status.condition != "ready" and _may_run(status, brands) for status in statuses)


def _may_run(status: HypervisorStatus, brands: AbstractSet[str]) -> bool:
    return status.probe is None or bool(brands & set(status.probe.brands))


def _later(refusal: FifoError, subject: str) -> Unavailable:
    told = f"{refusal.what}, and a host is not heard of yet"
    return Unavailable(told, subject, "see `fifo hypervisor list`, and ask again once it is ready")
