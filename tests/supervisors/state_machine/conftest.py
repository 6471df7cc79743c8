"""Fixtures for the tests of state machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION, STATE_FUNCTIONS
from tests.supervisors.state_machine.stage import Stage
from tests.supervisors.state_machine.telephone import EventTelephone, Telephone

if TYPE_CHECKING:
    from tests.supervisors.world import World


@pytest.fixture
def stage(world: World) -> Stage:
    """A parent on each of the three hosts in turn."""
    return Stage(world)


@pytest.fixture(params=[STATE_FUNCTIONS, HANDLE_EVENT_FUNCTION])
def mode(request: pytest.FixtureRequest) -> str:
    """Each callback mode in turn."""
    return str(request.param)


@pytest.fixture
def telephone(mode: str) -> type[Telephone]:
    """The telephone in each callback mode."""
    return Telephone if mode == STATE_FUNCTIONS else EventTelephone
