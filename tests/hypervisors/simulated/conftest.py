"""A simulated host on the conformance suite's stage, its own table of faults at hand."""

from __future__ import annotations

import pytest

from tests.hypervisors.conformance.simulated_stage import SimulatedStage


@pytest.fixture
def stage() -> SimulatedStage:
    """A host in virtual time."""
    return SimulatedStage()
