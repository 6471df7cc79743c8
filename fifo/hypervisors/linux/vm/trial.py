"""A first program that says it runs, and restarts the machine: the whole user space of the trial.

Whether a host's KVM runs an ordinary kernel shows only when one has come so far as to run a program
in user mode: there are hosts where firmware runs and every kernel hangs. Written as the processor's
own code, since a trial should not need a package. Source: the System V ABI for AMD64, ELF-64.
"""

from __future__ import annotations

import struct
from typing import Final

from fifo.hypervisors.linux.guests import file_tree

SAYS: Final = b"fifo-trial-runs"
_LINE: Final = SAYS + b"\r\n"
_BASE: Final = 0x400000
_HEADER_BYTES: Final = 64 + 56
_LEA_END: Final = 12
"""Where the address that `lea` counts from is, after the first two instructions."""
_WRITE: Final = bytes.fromhex("bf01000000 488d35")  # mov edi, 1; lea rsi, [rip + ...]
_WRITE_REST: Final = bytes.fromhex("b801000000 0f05")  # mov eax, 1 (write); syscall
_DRAIN: Final = bytes.fromhex(
    # mov eax, 16 (ioctl); mov edi, 1; mov esi, TCSBRK; mov edx, 1; syscall: wait until it is sent
    "b810000000 bf01000000 be09540000 ba01000000 0f05"
)
_RESTART: Final = bytes.fromhex(
    # mov eax, 169 (reboot); the two magic numbers; LINUX_REBOOT_CMD_RESTART; syscall; jmp $
    "b8a9000000 bfaddee1fe be69191228 ba67452301 0f05 ebfe"
)


def program() -> bytes:
    """Give the program as an ELF file."""
    length = b"\xba" + struct.pack("<I", len(_LINE))  # mov edx, length
    rest = length + _WRITE_REST + _DRAIN + _RESTART
    code = _WRITE + struct.pack("<i", len(rest)) + rest + _LINE
    assert len(_WRITE) + 4 == _LEA_END
    size = _HEADER_BYTES + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, _BASE + _HEADER_BYTES, 64, 0, 0, 64, 56, 1, *[0] * 3
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 4096)
    return ident + head + segment + code


def initrd() -> bytes:
    """Give the initramfs with nothing but the program."""
    return file_tree.newc({"init": file_tree.file(program(), 0o755)})
