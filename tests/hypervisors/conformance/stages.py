"""The drivers on trial: each by a name and a context manager that gives its stage.

A stage that this machine cannot set up calls `pytest.skip` with the reason.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.hypervisors.conformance.simulated_stage import SimulatedStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.hypervisors.conformance.stage import Stage


@contextmanager
def simulated() -> Iterator[Stage]:
    """Give a simulated host that can do everything."""
    yield SimulatedStage()


@contextmanager
def simulated_plain() -> Iterator[Stage]:
    """Give a simulated host that can do no more than it must."""
    reason = "a plain directory"
    refused = ("snapshot", "capture_image", "console", "exec")
    yield SimulatedStage(unsupported=dict.fromkeys(refused, reason))


STAGES: dict[str, Callable[[], AbstractContextManager[Stage]]] = {
    "simulated": simulated,
    "simulated-plain": simulated_plain,
}
