"""What an image consists of: its files with their digests, and how an instance of it starts.

`boot` says how, and with it which files there have to be:

- `init`: a zone. `rootfs` is a tar of the root file system, `command` what its first process runs;
  files of the role `oci` are the same image as an OCI image layout.
- `direct`: a VM whose `kernel` and `initrd` QEMU loads itself, with `kernel_args`; a `disk`, if
  there is one, is its first disk.
- `disk`: a VM whose firmware boots from `disk`.

The format of each file stands here and is told to every tool: nothing ever probes for it, because
a guest that writes a qcow2 header into its raw disk would choose the host's files to read.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from fifo.model.errors import InvalidInput, Violation
from fifo.model.records import Record, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Architecture = Literal["amd64", "arm64"]
Boot = Literal["init", "direct", "disk"]
Role = Literal["rootfs", "oci", "kernel", "initrd", "disk"]
Format = Literal["tar", "oci", "elf", "cpio", "raw", "qcow2"]

FILES_MAX: Final = 64
"""Files of an image: an OCI layout of twenty layers fits, and a list of them is still readable."""
FORMATS: Final[Mapping[Role, frozenset[Format]]] = {
    "rootfs": frozenset({"tar"}),
    "oci": frozenset({"oci"}),
    "kernel": frozenset({"elf"}),
    "initrd": frozenset({"cpio"}),
    "disk": frozenset({"raw", "qcow2"}),
}
"""The formats that a file of each role may have."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Roles(Value, frozen=True):
    """The files that a way to boot needs exactly once, and those that it may have besides."""

    needed: frozenset[Role]
    allowed: frozenset[Role] = frozenset()


ROLES: Final[Mapping[Boot, Roles]] = {
    "init": Roles(needed=frozenset({"rootfs"}), allowed=frozenset({"oci"})),
    "direct": Roles(needed=frozenset({"kernel", "initrd"}), allowed=frozenset({"disk"})),
    "disk": Roles(needed=frozenset({"disk"})),
}


class ImageFile(Value, frozen=True):
    """One file: its path from the manifest's directory, its size, and the SHA-256 of its bytes."""

    role: Role
    format: Format
    path: str
    size_bytes: int
    sha256: str


class ImageManifest(Record, frozen=True, tag="image_manifest/1"):
    """An image on disk, as `manifest.json` beside its files says it.

    `inputs` names what it was built from, with versions or digests, for people. `disk_bytes` is the
    size that a guest sees of its disk, and the least an instance's disk may have.
    """

    name: str
    version: str
    os: Literal["linux"]
    architecture: Architecture
    brand: Literal["lx", "kvm"]
    boot: Boot
    files: tuple[ImageFile, ...]
    command: tuple[str, ...] = ()
    kernel_args: str = ""
    disk_bytes: int = 0
    inputs: dict[str, str] = {}

    def file(self, role: Role) -> ImageFile | None:
        """Return the first file of this role, None if the image has none."""
        return next((file for file in self.files if file.role == role), None)


def validate(manifest: ImageManifest) -> None:
    """Refuse a manifest that no instance could be started from; raises InvalidInput with all of it.

    Called by whoever reads a manifest from a disk, before it opens a file that is named there.
    """
    if violations := tuple(_violations(manifest)):
        raise InvalidInput(f"image {manifest.name}", violations)


def _violations(manifest: ImageManifest) -> Iterator[Violation]:
    if (manifest.brand == "lx") != (manifest.boot == "init"):
        yield Violation("boot", f"what starts an {manifest.brand} instance, not {manifest.boot}")
    if (manifest.boot == "init") != bool(manifest.command):
        yield Violation("command", "set for `init`, and only there")
    has_disk = manifest.file("disk") is not None
    if has_disk != (manifest.disk_bytes > 0):
        yield Violation("disk_bytes", "positive where there is a disk, and only there")
    if len(manifest.files) > FILES_MAX:
        yield Violation("files", f"at most {FILES_MAX}")
    yield from _role_violations(manifest)
    yield from _file_violations(manifest.files)


def _role_violations(manifest: ImageManifest) -> Iterator[Violation]:
    roles = [file.role for file in manifest.files]
    allowed = ROLES[manifest.boot]
    for role in sorted(allowed.needed):
        if roles.count(role) != 1:
            yield Violation("files", f"exactly one {role} to boot by {manifest.boot}")
    for role in sorted(set(roles) - allowed.needed - allowed.allowed):
        yield Violation("files", f"no {role} to boot by {manifest.boot}")
    if "disk" in allowed.allowed and roles.count("disk") > 1:
        yield Violation("files", "at most one disk")


def _file_violations(files: tuple[ImageFile, ...]) -> Iterator[Violation]:
    paths = [file.path for file in files]
    for index, file in enumerate(files):
        here = f"files[{index}]"
        if not _is_plain(file.path):
            yield Violation(f"{here}.path", "a plain path below the image's directory")
        if paths.index(file.path) != index:
            yield Violation(f"{here}.path", "named once")
        if file.format not in FORMATS[file.role]:
            yield Violation(f"{here}.format", " or ".join(sorted(FORMATS[file.role])))
        if not _SHA256.fullmatch(file.sha256):
            yield Violation(f"{here}.sha256", "64 hexadecimal digits, lower case")
        if file.size_bytes <= 0:
            yield Violation(f"{here}.size_bytes", "positive")


def _is_plain(text: str) -> bool:
    path = PurePosixPath(text)
    return (
        bool(path.parts)
        and not path.is_absolute()
        and ".." not in path.parts
        and (str(path) == text)
    )
