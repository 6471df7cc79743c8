"""The kernel out of Debian's vmlinuz: an ELF file, which no guest has to unpack when it starts.

The header says where the packed kernel begins and ends; its last four bytes are its size unpacked.
Source: the kernel's Documentation/arch/x86/boot.rst, "payload_offset", and scripts/Makefile.lib,
size_append.
"""

from __future__ import annotations

import struct
from typing import Final

from fifo.hypervisors.linux import zstd
from fifo.hypervisors.linux.guests import lz4
from fifo.model.errors import Unsupported

ELF: Final = b"\x7fELF"
HEADER_MAGIC: Final = b"HdrS"
HEADER_MAGIC_AT: Final = 0x202
SECTOR_BYTES: Final = 512
KERNEL_BYTES_MAX: Final = 512 * 1024 * 1024
"""Ten times Debian's: what a damaged header may make us reserve."""


def extract(vmlinuz: bytes) -> bytes:
    """Return the ELF kernel inside a bzImage; takes about a second: called in a thread.

    Raises Unsupported for what is damaged or packed otherwise, NotReady without libzstd.
    """
    try:
        kernel = _unpack(vmlinuz)
    except (ValueError, struct.error) as error:
        raise Unsupported(
            f"holds no ELF kernel that can be unpacked: {error}",
            "vmlinuz",
            "use Debian's linux-image-cloud-amd64, which packs it by lz4 or zstd",
        ) from error
    return kernel


def _unpack(vmlinuz: bytes) -> bytes:
    if vmlinuz[HEADER_MAGIC_AT : HEADER_MAGIC_AT + 4] != HEADER_MAGIC:
        raise ValueError("it has no header of a kernel")
    # Zero stands for four, from the days of floppy disks.
    setup_sectors = vmlinuz[0x1F1] or 4
    offset, length = struct.unpack_from("<II", vmlinuz, 0x248)
    start = (setup_sectors + 1) * SECTOR_BYTES + offset
    payload = vmlinuz[start : start + length]
    if len(payload) < length:
        raise ValueError("it is cut off")
    packed, (size_bytes,) = payload[:-4], struct.unpack_from("<I", payload, length - 4)
    if size_bytes > KERNEL_BYTES_MAX:
        raise ValueError("it is larger than a kernel can be")
    if packed.startswith(lz4.LEGACY_MAGIC):
        kernel = lz4.decompress(packed)
    elif packed.startswith(zstd.MAGIC):
        kernel = zstd.decompress(packed, size_bytes, "vmlinuz")
    else:
        raise ValueError("it is packed in another way")
    if len(kernel) != size_bytes or not kernel.startswith(ELF):
        raise ValueError("what came out is not it")
    return kernel
