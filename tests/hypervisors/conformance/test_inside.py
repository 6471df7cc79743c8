"""Looking inside: commands, the console, the log, the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import Unsupported, WrongState

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Channel
    from tests.hypervisors.conformance.stage import Stage


@pytest.fixture
def uid(stage: Stage) -> str:
    """A running instance."""
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    return wanted.spec.uid


def needs(stage: Stage, verb: str) -> None:
    """Leave a test that is about what this host cannot do."""
    if verb in stage.cannot:
        pytest.skip(f"this host cannot {verb}")


def why_not(stage: Stage, verb: str) -> str:
    """Say why this host cannot do something, or cannot for this brand."""
    missing = stage.run(stage.driver.probe()).missing
    return missing.get(f"{verb} {stage.brand}") or missing[verb]


def command(stage: Stage, uid: str, *words: str, **environment: str) -> Channel:
    """Run a command without a terminal."""
    return stage.run(
        stage.driver.execute(uid, words, terminal=False, environment=dict(environment))
    )


def drain(stage: Stage, channel: Channel) -> dict[int, bytes]:
    """Read a channel to its end; gives the bytes of each stream."""
    read: dict[int, bytes] = {}
    while (part := stage.run(channel.read())) is not None:
        stream, data = part
        read[stream] = read.get(stream, b"") + data
    return read


def read_until(stage: Stage, channel: Channel, text: bytes) -> bytes:
    """Read a terminal until it has shown something."""
    shown = b""
    while text not in shown:
        part = stage.run(channel.read())
        assert part is not None, f"ended without {text!r}: {shown!r}"
        shown += part[1]
    return shown


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("false", 1), ("exit 42", 42)])
def test_a_command_gives_its_exit_code(stage: Stage, uid: str, script: str, code: int) -> None:
    needs(stage, "exec")
    channel = command(stage, uid, "sh", "-c", script)
    drain(stage, channel)
    assert channel.exit_code == code


def test_output_and_errors_are_told_apart(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    channel = command(stage, uid, "sh", "-c", "echo good; echo bad >&2; exit 3")
    assert drain(stage, channel) == {1: b"good\n", 2: b"bad\n"}
    assert channel.exit_code == 3


def test_a_command_reads_what_is_written_up_to_the_end_of_input(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    channel = command(stage, uid, "cat")
    stage.run(channel.write(b"one\n"))
    stage.run(channel.write(b"two\n"))
    stage.run(channel.write(b""))
    assert drain(stage, channel) == {1: b"one\ntwo\n"}
    assert channel.exit_code == 0


def test_a_command_has_the_environment_it_was_given(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    shown = drain(stage, command(stage, uid, "env", COLOUR="green"))
    assert b"COLOUR=green\n" in shown[1]


def test_a_command_that_there_is_none_of_fails_with_127(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    channel = command(stage, uid, "sh", "-c", "no-such-command")
    assert drain(stage, channel)[2]
    assert channel.exit_code == 127


def test_to_close_a_command_ends_it_and_not_the_instance(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    channel = command(stage, uid, "sleep", "1000")
    stage.run(channel.close())
    drain(stage, channel)
    assert channel.exit_code != 0
    found = stage.run(stage.driver.inspect(uid))
    assert found is not None
    assert found.state == "running"


def test_a_command_ends_with_its_instance(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    channel = command(stage, uid, "sleep", "1000")
    stage.run(stage.driver.stop(uid, 0.0))
    assert drain(stage, channel) == {}


def test_a_terminal_shows_what_is_typed_and_takes_a_size(stage: Stage, uid: str) -> None:
    needs(stage, "exec")
    channel = stage.run(stage.driver.execute(uid, ("sh",), terminal=True, environment={}))
    stage.run(channel.resize(120, 40))
    stage.run(channel.write(b"echo to''gether\n"))
    read_until(stage, channel, b"together\r\n")
    stage.run(channel.write(b"exit 5\n"))
    drain(stage, channel)
    assert channel.exit_code == 5


def test_a_console_outlives_who_looks_at_it(stage: Stage, uid: str) -> None:
    needs(stage, "console")
    stage.settle(uid)
    first = stage.run(stage.driver.console(uid))
    stage.run(first.resize(100, 30))
    stage.run(first.write(b"echo fir''st\n"))
    read_until(stage, first, b"first")
    stage.run(first.close())
    drain(stage, first)
    second = stage.run(stage.driver.console(uid))
    stage.run(second.write(b"echo sec''ond\n"))
    read_until(stage, second, b"second")
    stage.run(second.close())
    found = stage.run(stage.driver.inspect(uid))
    assert found is not None
    assert found.state == "running"


def test_a_console_ends_with_its_instance(stage: Stage, uid: str) -> None:
    needs(stage, "console")
    channel = stage.run(stage.driver.console(uid))
    stage.run(stage.driver.stop(uid, 0.0))
    drain(stage, channel)
    assert not channel.fell_behind


def test_only_a_running_instance_is_looked_into(stage: Stage, uid: str) -> None:
    stage.run(stage.driver.stop(uid, 0.0))
    if "console" not in stage.cannot:
        with pytest.raises(WrongState, match="stopped"):
            stage.run(stage.driver.console(uid))
    if "exec" not in stage.cannot:
        with pytest.raises(WrongState, match="stopped"):
            command(stage, uid, "true")


def test_a_host_that_cannot_look_inside_says_why(stage: Stage, uid: str) -> None:
    if "console" in stage.cannot:
        with pytest.raises(Unsupported, match=why_not(stage, "console")):
            stage.run(stage.driver.console(uid))
    if "exec" in stage.cannot:
        with pytest.raises(Unsupported, match=why_not(stage, "exec")):
            command(stage, uid, "true")


def test_the_log_has_the_end_of_what_the_console_showed(stage: Stage, uid: str) -> None:
    stage.settle(uid)
    stage.wait_for(lambda: bool(stage.run(stage.driver.logs(uid, 10_000))))
    log = stage.run(stage.driver.logs(uid, 10_000))
    assert stage.run(stage.driver.logs(uid, 4)) == log[-4:]
    assert stage.run(stage.driver.logs(uid, 0)) == b""
    stage.run(stage.driver.stop(uid, 0.0))
    assert stage.run(stage.driver.logs(uid, 10_000)).startswith(log)


def test_every_running_instance_is_measured_and_counters_grow(stage: Stage, uid: str) -> None:
    stage.pass_time(1.0)
    (first,) = stage.run(stage.driver.stats())
    stage.pass_time(1.0)
    (second,) = stage.run(stage.driver.stats())
    assert first.uid == second.uid == uid
    assert second.cpu_seconds >= first.cpu_seconds >= 0
    assert second.memory_bytes > 0
    assert second.memory_limit_bytes >= 0
    assert second.processes >= 1
    for before, after in zip(first.nics, second.nics, strict=True):
        assert after.interface == before.interface
        assert after[1:] >= before[1:]
    for before_disk, after_disk in zip(first.disks, second.disks, strict=True):
        assert after_disk.name == before_disk.name
        assert after_disk.read_bytes >= before_disk.read_bytes
    stage.run(stage.driver.stop(uid, 0.0))
    assert stage.run(stage.driver.stats()) == ()


def test_the_hosts_own_figures_are_told_and_fit_together(stage: Stage, uid: str) -> None:
    assert uid
    usage = stage.run(stage.driver.usage())
    assert len(usage.load) == 3
    assert all(seconds >= 0 for seconds in usage.cpu_seconds.values())
    for whole, part in (
        (usage.memory_bytes, usage.memory_available_bytes),
        (usage.storage_bytes, usage.storage_available_bytes),
    ):
        assert whole is not None
        assert part is not None
        assert 0 < part <= whole


def test_the_probe_says_what_the_host_is(stage: Stage) -> None:
    probe = stage.run(stage.driver.probe())
    assert probe.brands
    assert probe.boot_id
    assert probe.capacity.memory > 0
    assert all(why_not(stage, verb) for verb in stage.cannot)
    assert all(probe.missing.values())
