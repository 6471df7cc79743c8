"""Erlang/OTP for the peer rows: found or installed, and its programs compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SOURCES: Final = Path(__file__).with_name("otp")

# Installing fetches some 20 MB; a mirror that takes longer is not going to answer.
_INSTALL_LIMIT_S: Final = 600
# Six small modules; seconds on any machine.
_COMPILE_LIMIT_S: Final = 120

# One scheduler against one Python thread; room for a million processes; and no busy waiting, which
# would count as OTP's CPU time though no work is done in it.
_FLAGS: Final = (
    *("-noshell", "-noinput", "+S", "1", "+P", "4000000"),
    *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),
)


class ErlangMissingError(Exception):
    """OTP's side cannot run here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Erlang:
    """A runtime with the compiled programs: the path of `erl` and the directory of the code."""

    erl: str
    code: Path

    def argv(self, row: str, sizes: tuple[int, ...]) -> tuple[str, ...]:
        """Return the command that measures one row in a fresh node."""
        words = ("-pa", str(self.code), "-run", "bench", "main", row, *map(str, sizes))
        return (self.erl, *_FLAGS, *words)


def environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would change Erlang's flags behind the rows' back.

    A node that fails leaves its reason on standard error and no crash dump.
    """
    kept = {name: value for name, value in outer.items() if not name.startswith("ERL_")}
    return {**kept, "ERL_CRASH_DUMP_SECONDS": "0"}


def provide(code: Path, say: Callable[[str], None]) -> Erlang:
    """Find `erl` and `erlc`, installing Debian's erlang-base when root, and compile into `code`.

    Called once a run by the harness. Raises ErlangMissingError if there is no Erlang and none can
    be installed, or if the programs do not compile.
    """
    erl, erlc = shutil.which("erl"), shutil.which("erlc")
    if erl is None or erlc is None:
        _install(say)
        erl, erlc = shutil.which("erl"), shutil.which("erlc")
    if erl is None or erlc is None:
        raise ErlangMissingError("erl or erlc is not on PATH though erlang-base is installed")
    sources = sorted(str(source) for source in _SOURCES.glob("*.erl"))
    argv = (erlc, "-Wall", "-Werror", "-o", str(code), *sources)
    _run(argv, _COMPILE_LIMIT_S)
    return Erlang(erl, code)


def _install(say: Callable[[str], None]) -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ErlangMissingError(
            "erl is not on PATH and can be installed by root on Debian only:"
            " install erlang-base (or your system's Erlang/OTP) and run again"
        )
    say("erl is missing: installing erlang-base")
    install = (apt, "install", "--yes", "--no-install-recommends", "erlang-base")
    try:
        _run(install, _INSTALL_LIMIT_S)
    except ErlangMissingError:
        # A machine that has never fetched the package lists knows no package at all.
        _run((apt, "update"), _INSTALL_LIMIT_S)
        _run(install, _INSTALL_LIMIT_S)


def _run(argv: tuple[str, ...], limit_s: float) -> None:
    env = {**environment(os.environ), "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise ErlangMissingError(f"{' '.join(argv)}: no end after {limit_s} s") from error
    if done.returncode != 0:
        raise ErlangMissingError(
            f"{' '.join(argv)}: status {done.returncode}: {done.stdout}{done.stderr}"
        )
