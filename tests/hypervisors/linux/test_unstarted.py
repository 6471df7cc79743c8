"""What a runtime says of a command that it could not start, as a shell would say it."""

from __future__ import annotations

import pytest

from fifo.hypervisors.linux.unstarted import unstarted

RUNC = 'time="2026-11-25T02:58:49Z" level=error msg="exec failed: unable to start: exec: {}"\n'
ABSENT = RUNC.format('\\"x\\": executable file not found in $PATH').encode()
FORBIDDEN = RUNC.format('\\"x\\": permission denied').encode()
CRUN = b"executable file `x` not found in $PATH: No such file or directory\n"


@pytest.mark.parametrize(
    ("code", "said", "wanted"),
    [
        (255, ABSENT, (127, b"x: not found\n")),
        (1, CRUN, (127, b"x: not found\n")),
        (255, FORBIDDEN, (126, b"x: permission denied\n")),
        # A command's own words and statuses are its own.
        (0, ABSENT, None),
        (255, b"sorry\n" + ABSENT, None),
        (255, b"", None),
        (2, ABSENT, None),
    ],
)
def test_what_was_not_started_ends_as_in_a_shell(
    code: int, said: bytes, wanted: tuple[int, bytes] | None
) -> None:
    assert unstarted("x", code, said) == wanted
