"""Where things are on the host's disk, and what is written there about each instance.

```
STATE/instances/UID/         one directory an instance, made elsewhere and renamed: whole or absent
STATE/instances/UID/instance.json   the host's truth about it: `Kept`
STATE/instances/UID/bundle/         what the OCI runtime reads
STATE/instances/UID/root/           a zone's root file system, mounted while it runs
STATE/instances/.new-UID/    a create that has not finished; swept away
STATE/instances/.gone-UID/   a delete that has not finished; swept away
STATE/going/                 empty: what a delete renames to where a new name finds no room
STATE/images/UID/            an image in the cache: `image.json` and `rootfs/`
STATE/uid-base               the host's user that is root in all of them
RUN/runtime/                 the OCI runtime's own state
```
All of it is for root alone but for the way to the root file systems, which a zone's users need.
"""

from __future__ import annotations

import ctypes
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.settings import UID_BASE
from fifo.model import records
from fifo.model.errors import DataLoss, InvalidInput, NotFound, Violation
from fifo.model.instance import Claim, Exit, InstanceSpec, Nic  # noqa: TC001 -- msgspec reads them
from fifo.model.names import is_uid
from fifo.model.network import Network  # noqa: TC001 -- msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW: Final = ".new-"
GONE: Final = ".gone-"
RECORD: Final = "instance.json"
_log = logging.getLogger(__name__)
PASSABLE: Final = 0o711
"""A zone's root is an ordinary user of the host, who must reach its root file system."""


class Started(records.Value, frozen=True):
    """The interfaces that an instance was started with: its spec may want others by now.

    What they may send is as it was changed last, since that counts at once.
    """

    nics: tuple[Nic, ...]
    routes: dict[str, str]
    claim: Claim
    networks: tuple[Network, ...]


class Kept(records.Record, frozen=True, tag="linux_instance/1"):
    """What the host knows of one instance: the truth that a new driver starts from.

    `start_id`, `boot_id`, `pid` and `start_time` (of the process, in ticks since boot) are of the
    latest start; `exit` is how it ended, None while it runs, and `told` whether a subscriber knows.
    `pending` are properties of the spec that wait for the next start; `started` are the interfaces
    of the latest one, which have ports and rules of the host's.
    """

    spec: InstanceSpec
    claim: Claim
    networks: tuple[Network, ...] = ()
    start_id: int = 0
    boot_id: str = ""
    pid: int = 0
    start_time: int = 0
    stop_signal: int = 15
    exit: Exit | None = None
    told: bool = True
    pending: tuple[str, ...] = ()
    started: Started | None = None

    @property
    def uid(self) -> str:
        """Whose it is."""
        return self.spec.uid

    @property
    def is_open(self) -> bool:
        """Whether no end of its latest start is written down: it runs, by half perhaps."""
        return self.start_id > 0 and self.exit is None

    @property
    def runs_with(self) -> Started:
        """The interfaces of its latest start; before that, those that it is to have."""
        return self.started or starting(self.spec, self.claim, self.networks)


def starting(spec: InstanceSpec, claim: Claim, networks: tuple[Network, ...]) -> Started:
    """Give what is kept of a start that begins."""
    return Started(nics=spec.nics, routes=spec.routes, claim=claim, networks=networks)


class Layout:
    """The paths, and the records in them. Used on the node's loop; each call is a few system calls.

    Raises OSError where the disk refuses.
    """

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        self.instances = state_dir / "instances"
        self.images = state_dir / "images"
        self.spare = state_dir / "going"
        self._uid_base = state_dir / "uid-base"
        self.run_dir = run_dir
        self.runtime = run_dir / "runtime"
        for directory in (state_dir, run_dir, self.instances, self.images):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(PASSABLE)
        self.runtime.mkdir(mode=0o700, exist_ok=True)

    def take_users(self, uid_base: int) -> None:
        """Remember whose the files are; raises InvalidInput where they are another root's.

        Nothing moves them: images and zones of one `uid_base` are a stranger's with another.
        """
        file = self._uid_base
        before = int(file.read_text(encoding="ascii")) if file.exists() else UID_BASE
        if before == uid_base and file.exists():
            return
        used = any(any(each.iterdir()) for each in (self.instances, self.images))
        if used and before != uid_base:
            wanted = f"{before}, which what is in {file.parent} is of, or an empty directory"
            raise InvalidInput("settings of the Linux driver", (Violation("uid_base", wanted),))
        replace(file, str(uid_base).encode())

    def instance(self, uid: str) -> Path:
        """Give an instance's directory; raises NotFound for what is no uid, whatever is there."""
        if not is_uid(uid):
            raise NotFound("not a uid", uid, "name an instance by its uid")
        return self.instances / uid

    def new(self, uid: str) -> Path:
        """Give the directory in which an instance is made."""
        return self.instances / f"{NEW}{self.instance(uid).name}"

    def gone(self, uid: str) -> Path:
        """Give the directory in which an instance is taken apart."""
        return self.instances / f"{GONE}{self.instance(uid).name}"

    def make_spare(self) -> None:
        """Have the name that a delete falls back on; where that finds no room, the next one has."""
        try:
            self.spare.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            _log.warning("a full disk may keep an instance from being deleted: %s", error)

    def uids(self) -> Iterator[str]:
        """Yield every instance that was created to its end."""
        for entry in sorted(os.scandir(self.instances), key=lambda entry: entry.name):
            if is_uid(entry.name):
                yield entry.name

    def unfinished(self) -> Iterator[Path]:
        """Yield what a create or a delete did not finish."""
        for entry in os.scandir(self.instances):
            if entry.name.startswith((NEW, GONE)):
                yield Path(entry.path)

    def read(self, uid: str) -> Kept | None:
        """Read what is kept of an instance, None if it is not there; raises DataLoss."""
        path = self.instance(uid) / RECORD
        try:
            return records.decode(Kept, path.read_bytes(), str(path))
        except FileNotFoundError:
            if path.parent.exists():
                raise DataLoss(
                    f"{path} is missing", uid, "delete the instance, or put the file back"
                ) from None
            return None

    def find(self, uid: str) -> Kept:
        """Read what is kept of an instance; raises NotFound, DataLoss."""
        kept = self.read(uid)
        if kept is None:
            raise NotFound("no such instance on this host", uid, "see which there are")
        return kept

    def write(self, kept: Kept, directory: Path | None = None) -> None:
        """Replace what is kept of an instance in one step, as seen by whoever is killed or reads.

        A loss of power may bring the older one back: then nothing runs that it could be wrong of.
        """
        path = (directory or self.instance(kept.uid)) / RECORD
        replace(path, records.encode(kept))


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all; raises OSError, which names the file."""
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor, not a path
            file.write(data)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        # A write that fails knows its descriptor only.
        error.filename = error.filename or os.fspath(path)
        raise


def flush_all(path: Path) -> None:
    """Have all of a path's file system on the disk for good (syncfs(2)); raises OSError. Blocks."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs", os.fspath(path))
    finally:
        os.close(descriptor)
