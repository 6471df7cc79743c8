"""Settings are checked whole, and their reference is what the table says."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

import pytest

from fifo.cli.serving.program import reached_at
from fifo.cli.settings import Settings, load, parse, reference
from fifo.model.errors import InvalidInput, NotReady
from tests.house.source import ROOT

if TYPE_CHECKING:
    from pathlib import Path

READERS = ("settings", "self._settings")
"""What a node's settings are called where they are read."""


def test_the_reference_is_written_from_the_table() -> None:
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == reference()


def test_no_file_gives_the_defaults() -> None:
    assert load(None, {}) == Settings()


def test_the_command_line_is_stronger_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fifo.toml"
    file.write_text('listen = "0.0.0.0:1"\nsample_s = 5\n', encoding="utf-8")
    settings = load(file, {"listen": "127.0.0.1:2", "driver": None})
    assert (settings.listen, settings.sample_s) == ("127.0.0.1:2", 5.0)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse({"driver": "xen", "listen": "here", "colour": "red", "simulated_hosts": True})
    fields = {violation.field for violation in refused.value.violations}
    assert fields == {"driver", "listen", "colour", "simulated_hosts"}


@pytest.mark.parametrize("content", [b"listen = ", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "fifo.toml"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match="TOML"):
        load(file, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"missing\.toml"):
        load(tmp_path / "missing.toml", {})


def test_an_empty_storage_dir_is_in_the_data_dir() -> None:
    assert parse({"storage_dir": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"), [("data_dir", ""), ("run_dir", ""), ("import_dirs", [""])]
)
def test_an_empty_path_is_never_the_current_directory(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"{name}: a"):
        parse({name: value})


@pytest.mark.parametrize("address", ["[::1]:9443", "127.0.0.1:0", "localhost:80"])
def test_addresses_of_both_families_are_taken(address: str) -> None:
    assert parse({"metrics_listen": address}).metrics_listen == address


@pytest.mark.parametrize("address", ["::1:9443", "[]:1", "[::1:1", ":1", "[::1]", "::1]:1", "a:b"])
def test_an_address_that_cannot_be_told_from_its_port_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="metrics_listen"):
        parse({"metrics_listen": address})


def test_every_setting_is_read_somewhere() -> None:
    """A setting that nobody reads promises what does not happen."""
    read: set[str] = set()
    for path in (ROOT / "fifo/cli").rglob("*.py"):
        if path == ROOT / "fifo/cli/settings.py":
            continue
        for own in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(own, ast.Attribute) and ast.unparse(own.value) in READERS:
                read.add(own.attr)
    assert {own.name for own in dataclasses.fields(Settings)} - read == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log_file_bytes", float("inf")),
        ("log_file_bytes", 10**400),
        ("log_file_bytes", 20_000.5),
        ("simulated_hosts", 2.7),
        ("simulated_hosts", "2.7"),
        ("simulated_seed", float("nan")),
        ("sample_s", float("nan")),
        ("sample_s", 10**400),
        ("drain_s", float("inf")),
        ("image_entries", 0),
        ("image_download_bytes", -1),
        ("image_unpacked_bytes", 2**60),
        ("uid_base", 1_000),
        ("uid_base", -1),
        ("uid_base", 2**32),
        ("runtime", "youki"),
        ("prefix", ""),
        ("prefix", "f"),
        ("prefix", "Fleet"),
        ("prefix", "toolong"),
        ("nic_tags", ["lan", "lan=br0"]),
        ("nic_tags", ["=br0"]),
        ("nic_tags", ["lan="]),
        ("nic_tags", ["lan=a bridge"]),
        ("nic_tags", ["lan=sixteen-letters-"]),
        ("nic_tags", [""]),
        ("name", "two words"),
        ("name", "-node"),
        ("name", "node..one"),
        ("name", "n" * 64),
        ("name", "bü"),
    ],
)
def test_a_value_that_could_not_work_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"{name}: "):
        parse({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uid_base", 0),
        ("uid_base", 65_536),
        ("runtime", "crun"),
        ("prefix", "a1"),
        ("nic_tags", ("lan", "wan=br0", "admin/1=eno1.30")),
        ("name", "node-1.rack.example"),
        ("image_entries", 1),
    ],
)
def test_a_value_at_the_edge_is_taken(name: str, value: object) -> None:
    assert getattr(parse({name: value}), name) == value


@pytest.mark.parametrize(
    ("listen", "reached"),
    [
        ("0.0.0.0:9443", "node-1"),
        ("[::]:9443", "node-1"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("[fd00::1]:9443", "[fd00::1]"),
        ("metrics.example:9443", "metrics.example"),
    ],
)
def test_discovery_gives_an_address_that_can_be_reached(listen: str, reached: str) -> None:
    assert reached_at(listen, "node-1") == reached
