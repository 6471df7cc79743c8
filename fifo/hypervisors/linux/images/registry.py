"""Pulling an image from an OCI registry, by skopeo.

What a name stands for is looked up first, down to the manifest for this machine, and that manifest
is then copied by its digest: what was counted and compared is what comes. skopeo follows a
registry's redirects by itself, so that it has no network but an egress of ours, which checks where
each of its connections leads.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.commands import failure
from fifo.hypervisors.linux.images import oci, refusal, targets
from fifo.hypervisors.linux.images.archive import Refused
from fifo.hypervisors.linux.images.egress import Egress
from fifo.hypervisors.linux.unstarted import NOT_FOUND
from fifo.model.errors import DataLoss, NoRoom, NotReady

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
    prove who it is, nor have TLS; any other has to, whatever `private` allows. It is connected to
    at the addresses that this was decided by; where it redirects to is looked up at each connection
    and refused where it may not go, to another port of loopback by the registry's own name too.

    Manifests say how large the layers are, before any of them is fetched; a layer that lies is
    cut off by a limit on file sizes (prlimit(1)), that of the largest.
    """
    host, port = targets.registry_host(reference)
    addresses = await asyncio.to_thread(ask, host, port, private=private)

    def admitted(name: str, number: int) -> list[str]:
        if name.lower() != host.lower():
            return ask(name, number, private=private, loopback=False)
        if number == port:
            return addresses
        return targets.admitted(
            name, number, private=private, loopback=False, ask=lambda *_: addresses
        )

    # One public address is enough to verify: the connection may be made to any of them.
    inside = bool(addresses) and not any(map(targets.is_public, addresses))
    egress = Egress(admitted, plain=inside)
    async with egress.opened(host, port):
        image = _Image(run, reference, egress, verify=not inside)
        return await _pull(image, layout, most_bytes, machine, sha256)


async def _pull(image: _Image, layout: Path, most_bytes: int, machine: str, sha256: str) -> Pulled:
    reference = image.reference
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
    """One image of a registry, as skopeo is asked for it."""

    def __init__(self, run: Run, reference: str, egress: Egress, *, verify: bool) -> None:
        self.reference = reference
        self._run = run
        self._egress = egress
        self._verify = f"tls-verify={'true' if verify else 'false'}"
        named, _, self.pinned = reference.partition("@sha256:")
        self._repository = _repository(named)

    async def look(self, digest: str) -> bytes:
        """Fetch a manifest, by its digest or else by its name; raises FifoError."""
        what = f"{self._repository}@sha256:{digest}" if digest else self.reference
        raw = await self._succeed(
            ["skopeo", "inspect", f"--{self._verify}", "--raw", "--", what], limits.COMMAND_S
        )
        _check(raw, digest, self.reference)
        return raw

    async def copy(self, digest: str, layout: Path, file_bytes: int) -> None:
        """Copy what a manifest's digest stands for, no file larger than allowed; FifoError."""
        options = [f"--src-{self._verify}", "--quiet"]
        source, target = f"{self._repository}@sha256:{digest}", f"oci:{layout}:{TAG}"
        await self._succeed(
            ["prlimit", f"--fsize={file_bytes}", "skopeo", "copy", *options, "--", source, target],
            limits.COPY_S,
        )

    async def _succeed(self, argv: list[str], deadline_s: float) -> bytes:
        """Run skopeo with the egress alone, whose reason goes before its words; FifoError.

        Both are told: what it was not let to may be a mirror that it did without, and then another
        thing went wrong. That the disk is full is its own to tell.
        """
        refused = self._egress.refused()
        done = await self._run(
            # The keeper hands no environment on.
            ["env", *self._egress.environment, *argv],
            deadline_s=deadline_s, netns=self._egress.netns,
        )  # fmt: skip
        if done.status == NOT_FOUND:
            raise NotReady("it is not installed", "skopeo", "install skopeo on the host")
        if done.status != 0:
            fault = failure(argv, done, self.reference)
            if refused and not isinstance(fault, NoRoom):
                refused[0].what += f"; skopeo says: {done.words}"
                raise refused[0]
            raise fault
        return done.stdout


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
