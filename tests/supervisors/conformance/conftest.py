"""The fixture that every case starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisors.conformance.case import Case

if TYPE_CHECKING:
    from tests.supervisors.world import World


@pytest.fixture
def case(world: World) -> Case:
    """Give a world of each host in turn with a parent process in it."""
    return Case(world)
