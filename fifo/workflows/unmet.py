"""Hosts that this control node has not met since it was started: they may be there in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from fifo.model.errors import FifoError
    from fifo.store.catalog import Catalog


def while_unmet(catalog: Catalog, refusal: FifoError, brands: AbstractSet[str]) -> FifoError:
    """Give the refusal by all hosts that are ready, or Unavailable while another is to be met.

    Called by a step that chooses a host, in the runner's process: what a node was killed in is
    taken up before the agents of its hosts have looked at them, and is tried again then. One whose
    absence is told of was there, or has not come for long, and is waited for no more.
    """
    for entry in catalog.host_statuses:
        status = entry.record
        is_unmet = status.condition == "unreachable" and not status.told
        if is_unmet and (status.probe is None or brands & set(status.probe.brands)):
            return Unavailable(
                f"{refusal.what}, and a host is not heard of yet",
                f"hypervisors/{status.uid}",
                "see `fifo hypervisor list`",
            )
    return refusal
