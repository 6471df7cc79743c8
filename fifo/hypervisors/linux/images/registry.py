"""Pulling an image from an OCI registry, by skopeo.

What a name stands for is looked up first, down to the manifest for this machine, and that manifest
is then copied by its digest: what was counted and compared is what comes. skopeo follows a
registry's redirects by itself, so that the address is checked before it is started and not at each
of its connections; a host that needs more keeps it in its own firewall.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.images import oci, refusal, targets
from fifo.hypervisors.linux.images.archive import Refused
from fifo.model.errors import DataLoss

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run

    Admitted = Callable[..., list[str]]

TAG: Final = "image"


class Pulled(NamedTuple):
    """What came: its size as its manifest says, and the digest that the registry knows it by.

    Of an image for several machines that is the digest of the index, as registries show it.
    """

    size_bytes: int
    sha256: str


async def pull(
    run: Run,
    reference: str,
    layout: Path,
    most_bytes: int,
    *,
    machine: str,
    private: bool,
    sha256: str = "",
    ask: Admitted = targets.admitted,
) -> Pulled:
    """Copy an image to a new OCI layout; raises FifoError.

    `sha256` is the digest that it has to have, as one in the reference is too; '' for any.

    A registry within the host's own network, where one has no public name to certify, need not
    prove who it is; any other has to, whatever `private` allows.

    Manifests say how large the layers are, before any of them is fetched; a layer that lies is
    cut off by a limit on file sizes (prlimit(1)), that of the largest.
    """
    host, port = targets.registry_host(reference)
    addresses = await asyncio.to_thread(ask, host, port, private=private)
    image = _Image(run, reference, addresses)
    top = await image.look(image.pinned)
    digest = hashlib.sha256(top).hexdigest()
    _check(top, sha256, reference)
    try:
        manifest, own = await _manifest(image.look, top, machine)
        sizes = _sizes(manifest)
    except (Refused, msgspec.DecodeError, RecursionError) as error:
        raise DataLoss(f"a manifest that is none ({error})", reference, "push it again") from None
    if sum(sizes) > most_bytes:
        raise refusal.too_large(most_bytes, reference)
    await image.copy(own, layout, max(*sizes, limits.DOCUMENT_BYTES))
    return Pulled(sum(sizes), digest)


class _Image:
    """One image of a registry that is at some addresses, as skopeo is asked for it."""

    def __init__(self, run: Run, reference: str, addresses: list[str]) -> None:
        self._run = run
        self._reference = reference
        # One public address is enough to verify: skopeo may connect to any of them.
        inside = bool(addresses) and not any(map(targets.is_public, addresses))
        self._verify = f"tls-verify={'false' if inside else 'true'}"
        named, _, self.pinned = reference.partition("@sha256:")
        self._repository = _repository(named)

    async def look(self, digest: str) -> bytes:
        """Fetch a manifest, by its digest or else by its name; raises FifoError."""
        what = f"{self._repository}@sha256:{digest}" if digest else self._reference
        raw = await succeed(
            self._run, ["skopeo", "inspect", f"--{self._verify}", "--raw", "--", what],
            subject=self._reference, deadline_s=limits.COMMAND_S,
        )  # fmt: skip
        _check(raw, digest, self._reference)
        return raw

    async def copy(self, digest: str, layout: Path, file_bytes: int) -> None:
        """Copy what a manifest's digest stands for, no file larger than allowed; FifoError."""
        options = [f"--src-{self._verify}", "--quiet"]
        source, target = f"{self._repository}@sha256:{digest}", f"oci:{layout}:{TAG}"
        await succeed(
            self._run,
            ["prlimit", f"--fsize={file_bytes}", "skopeo", "copy", *options, "--", source, target],
            subject=self._reference, deadline_s=limits.COPY_S,
        )  # fmt: skip


async def _manifest(
    look: Callable[[str], Awaitable[bytes]], raw: bytes, machine: str
) -> tuple[oci.Manifest, str]:
    """Follow indexes, one in another at most, to a machine's manifest; gives its digest too."""
    digest = hashlib.sha256(raw).hexdigest()
    for _ in range(2):
        if not (index := msgspec.json.decode(raw, type=oci.Index)).manifests:
            break
        chosen = oci.DIGEST.fullmatch(oci.choose(index, machine).digest)
        if chosen is None:
            raise Refused("a digest that is no sha256")
        digest = chosen[1]
        raw = await look(digest)
    return msgspec.json.decode(raw, type=oci.Manifest), digest


def _sizes(manifest: oci.Manifest) -> list[int]:
    sizes = [blob.size for blob in (manifest.config, *manifest.layers)]
    if min(sizes) < 0:
        raise Refused(f"a part of {min(sizes)} bytes")
    return sizes


def _check(raw: bytes, digest: str, reference: str) -> None:
    found = hashlib.sha256(raw).hexdigest()
    if digest and digest != found:
        raise DataLoss(
            f"its digest is {found}, not {digest}", reference,
            "see whether the tag was moved, and correct the checksum",
        )  # fmt: skip


def _repository(named: str) -> str:
    """Take the tag off a reference: what stands behind a colon that no slash follows."""
    head, colon, tag = named.rpartition(":")
    return head if colon and "/" not in tag else named
