"""An instance that is created by the uuid of one that was deleted owes nothing to that one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fifo.agent import reporting
from fifo.agent.reporting import Reporter
from fifo.fleet.placement import PlacementClient
from fifo.model.instance import Exit
from supervisors import Future
from tests.simulation.machine import Machine
from tests.simulation.test_dropped import PATIENT
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

if TYPE_CHECKING:
    import pytest

    from supervisors import Ref


class Delay:
    """Lets reports pass, of one entry each, and the answers of placement, as a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reports = 0
        """So many may be sent now."""
        self.placed: list[tuple[Future[Any], Future[Any]]] = []
        send, place = Reporter._send, PlacementClient.place
        delay = self

        async def sent(reporter: Reporter, session: Ref[Any]) -> None:
            if delay.reports > 0:
                delay.reports -= 1
                await send(reporter, session)
            else:
                reporter.timer = reporter.send_after(0.1, reporting._RESEND)

        def placed(client: PlacementClient, *asked: Any) -> Future[Any]:
            later: Future[Any] = Future()
            delay.placed.append((later, place(client, *asked)))
            return later

        monkeypatch.setattr(Reporter, "_send", sent)
        monkeypatch.setattr(PlacementClient, "place", placed)
        monkeypatch.setattr(reporting, "JOURNAL_REPORT_ENTRIES", 1)

    def tell_placed(self) -> None:
        for later, answer in self.placed:
            later.reply(answer.result())


def test_what_is_told_late_of_the_one_before_does_not_make_it_count_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    spec = msgspec.structs.replace(bare_zone(), restart=PATIENT)
    assert machine.run("create_instance", (uid(1),), spec).state == "done"
    delay = Delay(monkeypatch)
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), code=1))
    machine.scheduler.advance(10.0)
    assert machine.run("delete_instance", (uid(1),)).state == "done"
    anew = machine.submit("create_instance", (uid(1),), spec)
    machine.scheduler.advance(1.0)
    while machine.catalog.statuses.record(uid(1)) is None:
        delay.reports = 1
        machine.scheduler.advance(0.2)
    late = machine.catalog.statuses.record(uid(1))
    assert late is not None
    assert late.state != "deleted"
    assert late.start_id > 0
    delay.tell_placed()
    machine.scheduler.advance(1.0)
    delay.reports = 1_000
    ended = machine.finish(anew)
    assert (ended.state, ended.failures) == ("done", {})
    assert machine.hypervisor.guests[uid(1)].running
    machine.scheduler.advance(5.0)
    status = machine.catalog.statuses.record(uid(1))
    assert status is not None
    assert (status.state, status.start_id) == ("running", 1)
