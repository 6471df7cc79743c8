"""The systemd unit leaves instances alone, and starts what there is."""

from __future__ import annotations

import configparser

from tests.house.source import ROOT

UNIT = ROOT / "charts/systemd/fifo.service"


def test_the_unit_kills_the_node_alone_and_runs_a_command_that_exists() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    assert service["KillMode"] == "process"
    assert service["RuntimeDirectoryPreserve"] == "yes"
    words = service["ExecStart"].replace("\\\n", " ").split()
    assert words[1:3] == ["-m", "supervisors.heart"]
    assert words[words.index("--") + 2 :][:2] == ["serve", "--config"]


def test_what_the_operating_guide_names_is_there() -> None:
    guide = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    assert "charts/systemd/fifo.service" in guide
    assert (ROOT / "docs/configuration.md").exists()
