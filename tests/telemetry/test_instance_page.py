"""The instances of a scrape: states are the catalog's, figures those of the last sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.agent.sampling import Sample
from fifo.cli.serving import instance_page
from fifo.cli.serving.instance_page import InstancePage
from fifo.hypervisors.driver import Stats
from fifo.model import records
from fifo.model.errors import Unavailable
from fifo.model.instance import InstanceSpec, InstanceStatus
from fifo.store.catalog import View
from fifo.store.contract import KeyValue
from fifo.telemetry.instance_lines import Measured

if TYPE_CHECKING:
    from fifo.model.instance import State
    from fifo.model.records import Record
    from fifo.store.catalog import Table

HOST = "host-1"
STATS = Stats("a", 1.5, 7, 9, 3)


class Shown:
    """A catalog, and what a page shows of it."""

    def __init__(self) -> None:
        self.view = View()
        self.page = InstancePage()
        self.revision = 0

    def put(self, uid: str, state: State, *, restarts: int = 0, host: str = HOST) -> None:
        spec = InstanceSpec(
            uid=uid, id=uid, org="default", generation=1, wanted="running", brand="lx",
            create_time=0.0,
        )  # fmt: skip
        status = InstanceStatus(
            uid=uid, host=host, state=state, generation=1, since=0.0, restarts=restarts
        )
        self.store(self.view.specs, uid, spec)
        self.store(self.view.statuses, uid, status)

    def store(self, table: Table[Record] | Table[InstanceSpec] | Table[InstanceStatus],
              uid: str, record: Record) -> None:  # fmt: skip
        self.revision += 1
        key = table.prefix + uid.encode()
        stored = KeyValue(key, records.encode(record), self.revision, self.revision, 1)
        table.apply(key, stored)

    def delete(self, uid: str) -> None:
        for table in (self.view.specs, self.view.statuses):
            table.apply(table.prefix + uid.encode(), None)

    def scrape(self, sample: Sample | None) -> dict[str, float]:
        self.page.refresh(self.view, {} if sample is None else {HOST: sample})
        lines = "\n".join(text for own in self.page.snapshot() for text in own if text)
        pairs = (line.rpartition(" ") for line in lines.splitlines())
        return {name.removeprefix("fifo_instance_"): float(value) for name, _, value in pairs}


@pytest.fixture
def shown() -> Shown:
    made = Shown()
    made.put("a", "running")
    made.put("b", "running")
    return made


def test_states_are_those_of_now_while_measurements_fail(shown: Shown) -> None:
    sample = Sample(10.0, {"a": STATS})
    first = shown.scrape(sample)
    assert (first['running{instance="a"}'], first['memory_bytes{instance="a"}']) == (1, 7)
    shown.put("a", "stopped", restarts=4)
    shown.delete("b")
    shown.put("c", "running")
    later = shown.scrape(sample._replace(error=Unavailable("it does not answer")))
    assert (later['running{instance="a"}'], later['restarts_total{instance="a"}']) == (0, 4)
    assert later['memory_bytes{instance="a"}'] == 7
    assert later['running{instance="c"}'] == 1
    assert not any('"b"' in name for name in later)


@pytest.mark.parametrize("sample", [None, Sample(0.0, {})])
def test_figures_stay_while_a_sampling_begins_another_life(
    shown: Shown, sample: Sample | None
) -> None:
    shown.scrape(Sample(10.0, {"a": STATS}))
    shown.put("a", "stopped")
    later = shown.scrape(sample)
    assert (later['running{instance="a"}'], later['memory_bytes{instance="a"}']) == (0, 7)
    newer = shown.scrape(Sample(5.0, {"a": STATS._replace(memory_bytes=8)}))
    assert newer['memory_bytes{instance="a"}'] == 8


def test_an_instance_that_went_to_another_node_is_told_of_there(shown: Shown) -> None:
    shown.scrape(Sample(10.0, {}))
    shown.put("a", "running", host="elsewhere")
    assert not any('"a"' in name for name in shown.scrape(Sample(10.0, {})))


def test_text_is_made_only_for_what_changed(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[str] = []
    real = Measured

    def counted(uid: str, brand: str, host: str, *, running: bool, restarts: int) -> object:
        prepared.append(uid)
        return real(uid, brand, host, running=running, restarts=restarts)

    monkeypatch.setattr(instance_page, "Measured", counted)
    shown.scrape(Sample(10.0, {}))
    shown.scrape(Sample(10.0, {}))
    assert prepared == ["a", "b"]
    shown.put("b", "stopped")
    shown.scrape(Sample(10.0, {}))
    assert prepared == ["a", "b", "b"]
