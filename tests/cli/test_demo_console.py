"""The demo tells the prompt that a console shows, in whatever pieces the console's bytes came."""

from __future__ import annotations

import pytest

from fifo.cli.demo.console import prompt_in

PROMPT = "[fifo-guest vm-1]#"


@pytest.mark.parametrize(
    "seen",
    [
        b"Linux\r\n[fifo-guest vm-1]# ",
        b"Linux\r\n[fifo-guest vm-1]# \x1b[6n",
        # An Enter that was pressed before the shell was there is echoed behind its prompt.
        b"Linux\r\n[fifo-guest vm-1]# \r\n",
        b"Linux\r\n[fifo-guest vm-1]# \r\n[fifo-gu",
        b"Linux\r\n[fifo-guest vm-1]# \x1b[6n\r\n[fifo-guest vm-1]# \x1b[6n\r\n",
    ],
)
def test_a_prompt_is_found_whatever_stands_behind_it(seen: bytes) -> None:
    assert prompt_in(seen) == PROMPT


@pytest.mark.parametrize("seen", [b"", b"Linux 6.1\r\n", b"[fifo-guest vm-1]#", b"\r\n\r\n"])
def test_what_shows_no_whole_prompt_yet_has_none(seen: bytes) -> None:
    assert prompt_in(seen) == ""
