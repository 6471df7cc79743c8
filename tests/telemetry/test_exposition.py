"""A page is what Prometheus' own parser reads, whatever the label values are."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fifo.telemetry.exposition import Page
from fifo.telemetry.instance_lines import NAMES, InstanceLines, Measured
from fifo.telemetry.latency import Latency
from fifo.telemetry.logs import JsonFormatter, log_to
from fifo.telemetry.metrics import METRICS

if TYPE_CHECKING:
    from pathlib import Path


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_names_are_unique_and_carry_their_unit_or_kind_last() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith("_seconds"), metric.name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_label_value_comes_back_as_it_was(value: str) -> None:
    page = Page()
    page.add("fifo_placement_refusals_total", [((value,), 3)])
    if "\r" not in value:
        found = samples(page.text())
        assert found["fifo_placement_refusals_total", (("rule", value),)] == 3


def test_a_histogram_counts_up_to_its_last_bucket() -> None:
    latency = Latency()
    for duration_s in (0.0005, 0.02, 100.0):
        latency.observe(duration_s)
    page = Page()
    page.add_latencies("fifo_operation_step_seconds", {("create", "place"): latency})
    found = samples(page.text())
    own = (("kind", "create"), ("step", "place"))
    name = "fifo_operation_step_seconds"
    assert found[f"{name}_bucket", (*own[:1], ("le", "0.001"), *own[1:])] == 1
    assert found[f"{name}_bucket", (*own[:1], ("le", "+Inf"), *own[1:])] == 3
    assert found[f"{name}_count", own] == 3
    assert found[f"{name}_sum", own] == pytest.approx(100.0205)


def test_a_metric_stands_on_a_page_once() -> None:
    page = Page()
    page.add("fifo_placements_total", [((), 1)])
    with pytest.raises(AssertionError, match="already"):
        page.add("fifo_placements_total", [((), 2)])


def test_the_lines_of_instances_are_grouped_by_metric_and_go_with_them() -> None:
    lines = InstanceLines()
    for number in range(3):
        lines.put(
            Measured(
                f"uid-{number}", "lx", "host-1", running=True, restarts=number,
                cpu_seconds=1.5, memory_bytes=7, nics=(("net0", 10, 20),), disks=(("root", 1, 2),),
            )
        )  # fmt: skip
    lines.drop("uid-2")
    page = Page()
    for index, name in enumerate(NAMES):
        page.add_lines(name, (own[index] for own in lines.snapshot()))
    found = samples(page.text())
    assert found["fifo_instance_restarts_total", (("instance", "uid-1"),)] == 1
    received = (("instance", "uid-0"), ("nic", "net0"))
    assert found["fifo_instance_network_receive_bytes_total", received] == 10
    assert not any(("instance", "uid-2") in labels for _, labels in found)


def test_a_log_line_is_one_line_whatever_it_says(tmp_path: Path) -> None:
    logger = logging.getLogger("tests.telemetry")
    handler = log_to(tmp_path, "info", 10_000)
    try:
        logger.info("name %s", "evil\n\x1b[31m", extra={"operation": "op-1"})
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    (line,) = (tmp_path / "fifo.log").read_text(encoding="utf-8").splitlines()
    read = json.loads(line)
    assert read["text"] == "name evil\n\x1b[31m"
    assert read["operation"] == "op-1"
    assert "\x1b" not in line


def test_an_error_is_logged_with_its_stack() -> None:
    try:
        int("wrong")
    except ValueError as error:
        record = logging.makeLogRecord(
            {"msg": "oh", "exc_info": (ValueError, error, error.__traceback__)}
        )
    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(record))["error"]
