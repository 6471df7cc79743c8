"""What is gone for good is asked about first, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

DELETES = pytest.mark.parametrize(
    ("command", "method"),
    [
        ("instance delete web", "InstanceService/DeleteInstance"),
        ("image delete tiny", "ImageService/DeleteImage"),
        ("snapshot delete web s", "SnapshotService/DeleteSnapshot"),
    ],
)


@DELETES
def test_nothing_is_deleted_before_somebody_agrees(
    run: Run, channel: FakeChannel, command: str, method: str
) -> None:
    words = [*command.split(), "--no-wait"]
    with_nobody = run(*words)
    assert isinstance(with_nobody.exception, click.UsageError)
    assert "give --yes to go on" in str(with_nobody.exception)
    assert isinstance(run(*words, told="n\n").exception, click.Abort)
    assert f"/fifo.v1.{method}" not in channel.paths
    assert run(*words, told="y\n").exception is None
    assert f"/fifo.v1.{method}" in channel.paths


@DELETES
@pytest.mark.parametrize("option", ["--yes", "--validate-only"])
def test_who_says_yes_at_once_or_only_tries_is_not_asked(
    run: Run, channel: FakeChannel, command: str, method: str, option: str
) -> None:
    done = run(*command.split(), option, "--no-wait")
    assert done.exception is None
    assert "?" not in done.output
    assert f"/fifo.v1.{method}" in channel.paths
