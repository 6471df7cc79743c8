"""The demonstration, small: it shows what it says and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0
COMMAND = (sys.executable, "-m", "supervisors.demo")


def start(tmp_path: Path, *arguments: Any) -> subprocess.Popen[str]:
    """Start the demonstration with a temporary directory of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUTF8": "1"},
    )


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The demonstration kept up, with what it printed: first word of a line to the rest."""
    process = start(tmp_path, "--stay", "--processes", 300)
    assert process.stdout is not None
    said = {}
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        said[word] = rest.strip()
        if word == "staying":
            break
    yield process, said
    process.kill()
    process.communicate()


def test_it_loses_a_tenth_regains_it_and_leaves_nothing(tmp_path: Path) -> None:
    output, errors = start(tmp_path, "--processes", 2_000).communicate(timeout=PATIENCE_S)
    assert errors == ""
    said = dict(line.strip().split(maxsplit=1) for line in output.splitlines() if line.strip())
    assert said["started"].startswith("2,000 workers under 2 supervisors in ")
    assert said["killed"].startswith("200 of them at random, at once")
    assert said["regained"].startswith("all 2,000 after ")
    assert re.search(r"p50 [\d.]+ ms, p99 [\d.]+ ms", said["latency"])
    assert said["alive"].endswith("1,800 to 2,000")
    assert said["one"].startswith("at a time, 200 times: p50 ")
    assert said["reported"] == "400 child_terminated, 0 start_error, 0 shutdown"
    assert said["stopped"].endswith(" 0 processes left")
    assert "▾town Supervisor" in output
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_show_stops_its_tree(tmp_path: Path, interrupt: signal.Signals) -> None:
    process = start(tmp_path, "--processes", 30_000)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("started")
    process.send_signal(interrupt)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert errors == ""
    assert "0 processes left" in output


def scrape(url: str) -> str:
    """Read the metrics as Prometheus does."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_it_stays_can_be_watched_and_scraped_and_ends_when_told(
    staying: tuple[subprocess.Popen[str], dict[str, str]], tmp_path: Path
) -> None:
    process, said = staying
    watched = subprocess.run(
        [*said["watch"].split(), "--once"],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert "▾town Supervisor" in watched.stdout
    text = scrape(said["metrics"])
    assert 'supervisors_processes{class="Worker"}' in text
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert "0 processes left" in output
    assert list(tmp_path.iterdir()) == []


def test_metrics_are_offered_on_the_loopback_alone(
    staying: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    _, said = staying
    port = int(said["metrics"].rpartition(":")[2].partition("/")[0])
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        own = "127.0.0.2"
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect((own, port))


def test_too_few_processes_are_refused(tmp_path: Path) -> None:
    process = start(tmp_path, "--processes", 3)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "at least 10" in errors


def test_a_sparkline_spans_its_bounds() -> None:
    assert demo.sparkline([0, 50, 100], 0, 100) == "▁▄█"
    assert len(demo.sparkline(range(1_000), 0, 999)) <= 48
    assert demo.sparkline([5, 5], 5, 5) == "▁▁"


def test_quantiles_are_in_milliseconds() -> None:
    middle_ms, late_ms = demo.quantiles_ms([number / 1_000 for number in range(101)])
    assert middle_ms == pytest.approx(50.0)
    assert late_ms == pytest.approx(99.0)
