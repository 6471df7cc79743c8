"""A clock that is set back while operations run: they end in their time, not a day later."""

from __future__ import annotations

import pytest

from tests.workflows.cases import operation
from tests.workflows.stage import Stage, uid, zone

DAY_S = 86_400.0


@pytest.mark.parametrize("trouble", ["away", "silent"])
def test_an_operation_ends_in_its_time_although_the_clock_was_set_back(trouble: str) -> None:
    stage = Stage()
    setattr(stage.truth, trouble, True)
    made = operation("create_instance", (uid(1),), zone())
    stage.submit(made)
    stage.host.advance(5.0)
    stage.clock_s -= DAY_S
    ended = stage.finish(made)
    assert ended.final
    assert ended.failures
