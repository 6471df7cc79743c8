"""Pulling an image from an OCI registry, by skopeo.

skopeo follows a registry's redirects by itself, so that the address is checked before it is started
and not at each of its connections; a host that needs more keeps it in its own firewall.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.images import targets
from fifo.model.errors import DataLoss, NoRoom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run

    Admitted = Callable[..., list[str]]

TAG: Final = "image"


async def pull(
    run: Run,
    reference: str,
    layout: Path,
    most_bytes: int,
    *,
    private: bool,
    ask: Admitted = targets.admitted,
) -> int:
    """Copy an image to a new OCI layout and give its size in bytes; raises FifoError.

    A registry within the host's own network, where one has no public name to certify, need not
    prove who it is; any other has to, whatever `private` allows.

    Its manifest says how large its layers are, before any of them is fetched; a layer that lies is
    cut off by a limit on file sizes (prlimit(1)).
    """
    host, port = targets.registry_host(reference)
    addresses = await asyncio.to_thread(ask, host, port, private=private)
    # One public address is enough to verify: skopeo may connect to any of them.
    inside = bool(addresses) and not any(map(targets.is_public, addresses))
    verify = f"--tls-verify={'false' if inside else 'true'}"
    raw = await succeed(
        run, ["skopeo", "inspect", verify, "--raw", "--", reference], subject=reference,
        deadline_s=limits.COMMAND_S,
    )  # fmt: skip
    size_bytes = _size_bytes(raw, reference)
    if size_bytes > most_bytes:
        raise NoRoom(f"{size_bytes} bytes, at most {most_bytes}", reference, "use a smaller image")
    argv = ["prlimit", f"--fsize={most_bytes}", "skopeo", "copy", f"--src-{verify[2:]}", "--quiet"]
    await succeed(
        run, [*argv, "--", reference, f"oci:{layout}:{TAG}"], subject=reference,
        deadline_s=limits.COPY_S,
    )  # fmt: skip
    return size_bytes


def _size_bytes(raw: bytes, reference: str) -> int:
    """Add up what a manifest says; an index names no layers, and counts as nothing."""
    try:
        manifest: dict[str, Any] = msgspec.json.decode(raw, type=dict)
        return sum(int(layer["size"]) for layer in manifest.get("layers", ()))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise DataLoss(f"a malformed manifest ({error})", reference, "push it again") from None
