"""The manual names commands that there are, with options that they have."""

from __future__ import annotations

import importlib
import re
import shlex
from typing import Final

import click
import pytest

from fifo.cli import exits
from fifo.cli.fields import settable
from fifo.cli.kinds import KINDS
from fifo.cli.main import cli
from fifo.cli.settable import SETTABLE
from tests.house.source import ROOT

MANUAL: Final = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
EXAMPLES: Final = [line for line in MANUAL.splitlines() if line.startswith("fifo ")]
LEVELS: Final = 2
"""`fifo` and a command; groups run on their way down too."""
NAMED: Final = sorted(set(re.findall(r"`fifo ([a-z][a-z -]*?)`", MANUAL)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command_with_these_options(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def invoke(self: click.Command, ctx: click.Context) -> None:
        del ctx
        ran.append(str(self.name))

    # Only parsed: whatever files it names are not there, and nothing is asked.
    monkeypatch.setattr(click.Command, "invoke", invoke)
    monkeypatch.setattr(click.Path, "convert", lambda _, value, *__: value)
    cli.main(shlex.split(example)[1:], prog_name="fifo", standalone_mode=False)
    assert len(ran) >= LEVELS


@pytest.mark.parametrize("named", NAMED)
def test_a_command_in_the_text_exists(named: str) -> None:
    command: click.Command | None = cli
    for word in named.split():
        if word.startswith("-"):
            break
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
        assert command is not None, named


def test_every_exit_status_is_in_its_table() -> None:
    told = {int(number) for number in re.findall(r"^\| (\d+) \|", MANUAL, re.MULTILINE)}
    assert told == {0, exits.FAILED, *exits.BY_CODE.values(), 130}


@pytest.mark.parametrize("word", SETTABLE)
def test_help_lists_the_fields_that_a_resource_takes(word: str) -> None:
    resource = getattr(importlib.import_module(f"fifo.v1.{word}_pb2"), KINDS[word].title)
    assert SETTABLE[word].split() == settable(resource.DESCRIPTOR)
