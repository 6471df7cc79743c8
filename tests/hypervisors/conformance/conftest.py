"""Every test of the suite once for each driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hypervisors.conformance.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hypervisors.conformance.stage import Stage


@pytest.fixture(params=sorted(STAGES))
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A host with a driver on it."""
    with STAGES[request.param]() as made:
        yield made
