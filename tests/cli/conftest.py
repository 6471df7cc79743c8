"""A command line whose channel is a fake one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from click.testing import CliRunner

from fifo.cli.main import cli
from tests.cli.fake_channel import FakeChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Run = Callable[..., Result]


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> FakeChannel:
    fake = FakeChannel()
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_: fake)
    return fake


@pytest.fixture
def run(channel: FakeChannel) -> Run:
    """Run `fifo` on the fake channel; `return_value` is the status that `main` would end with."""
    del channel

    def invoke(*arguments: str, told: str | None = None) -> Result:
        given = ["--server", "unix:/nowhere", *arguments]
        runner = CliRunner()
        return runner.invoke(cli, given, input=told, prog_name="fifo", standalone_mode=False)

    return invoke
