"""The disk of a machine that runs tests of this project: this very Python, its commands, the code.

Everything stands where it stands here, so that nothing in it has to be told of another place.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.house.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMANDS: Final = (
    "runc", "crun", "ip", "nft", "nsenter", "unshare", "mount", "umount", "cp", "rm", "true",
    "sh", "busybox", "env",
)  # fmt: skip
"""What the driver and its tests run, by name."""
PACKAGES: Final = (
    "_pytest", "pytest", "py", "pluggy", "iniconfig", "packaging", "pygments", "msgspec",
    "hypothesis", "qemu.qmp", "sortedcontainers",
)  # fmt: skip
"""What those tests import that is neither Python's nor ours."""
LEFT_OUT: Final = ("site-packages", "test", "tests", "idlelib", "ensurepip", "turtledemo", "*.a")
"""Of the standard library, which is 300 MB with it."""
OURS: Final = ("fifo", "supervisors", "tests", "pyproject.toml")
MIB: Final = 640
"""The files are 250 MB; the rest is for zones."""
LINKS: Final = ("bin", "sbin", "lib", "lib64")
INIT: Final = "sbin/run-tests"


def write(scratch: Path, mke2fs: str, init: str) -> Path:
    """Write the disk, an ext4 file system in a file; `init` is the script of its first process."""
    root = scratch / "root"
    root.mkdir()
    for name in ("proc", "sys", "dev", "run", "tmp", "etc", "usr", "root", "var"):
        (root / name).mkdir()
    for name in LINKS:
        if Path("/", name).is_symlink():
            (root / name).symlink_to(Path("/", name).readlink())
            (root / "usr" / name).mkdir()
        else:
            (root / name).mkdir()
    _python(root)
    _copy_code(root)
    for name in COMMANDS:
        if (found := shutil.which(name)) is not None:
            _add_program(root, Path(found))
    script = _inside(root, Path("/", INIT))
    script.write_text(init, encoding="utf-8")
    script.chmod(0o755)
    disk = scratch / "disk.raw"
    subprocess.run(
        [mke2fs, "-q", "-t", "ext4", "-d", str(root), str(disk), f"{MIB}M"],
        check=True, capture_output=True,
    )  # fmt: skip
    return disk


def _python(root: Path) -> None:
    """Copy the interpreter, its library, and the environment that has the packages."""
    _add_program(root, Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}"))
    library = Path(sysconfig.get_path("stdlib"))
    _add_tree(root, library, LEFT_OUT)
    own = Path(sys.prefix)
    if own != Path(sys.base_prefix):
        _add_file(root, own / "pyvenv.cfg")
        _add_program(root, own / "bin/python")
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            continue
        origin = Path(found.origin)
        if origin.name == "__init__.py":
            _add_tree(root, origin.parent)
        else:
            _add_file(root, origin)
    for tree in (library, *(own.rglob("msgspec"))):
        _add_libraries(root, tree.rglob("*.so"))


def _copy_code(root: Path) -> None:
    for name in OURS:
        if (ROOT / name).is_dir():
            _add_tree(root, ROOT / name)
        else:
            _add_file(root, ROOT / name)


def _add_program(root: Path, path: Path) -> None:
    """Copy a program with what links lead to it, and the libraries that it wants."""
    target = _inside(root, path)
    if target.exists() or target.is_symlink():
        return
    if path.is_symlink():
        target.symlink_to(path.readlink())
        _add_program(root, path.parent / path.readlink())
        return
    shutil.copy2(path, target)
    _add_libraries(root, [path])


def _add_libraries(root: Path, programs: Iterable[Path]) -> None:
    found: set[Path] = set()
    paths = [str(path) for path in programs]
    ldd = shutil.which("ldd")
    assert ldd is not None
    listed = subprocess.run([ldd, *paths], check=False, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        words = line.replace("=>", " ").split()
        found.update(Path(word) for word in words if word.startswith("/") and word[-1] != ":")
    for library in sorted(found):
        _add_file(root, library)


def _add_file(root: Path, path: Path) -> None:
    target = _inside(root, path)
    if not target.exists():
        shutil.copy2(path, target)


def _add_tree(root: Path, path: Path, left_out: tuple[str, ...] = ()) -> None:
    ignored = shutil.ignore_patterns(*left_out, "__pycache__/*.pyo")
    shutil.copytree(path, _inside(root, path), ignore=ignored, symlinks=True, dirs_exist_ok=True)


def _inside(root: Path, path: Path) -> Path:
    """Give where a path of this machine is on the disk, with its directory made.

    Directories that are links on this machine (/lib, /bin) are what they lead to.
    """
    absolute = path.absolute()
    target = root / absolute.parent.resolve().relative_to("/") / absolute.name
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
