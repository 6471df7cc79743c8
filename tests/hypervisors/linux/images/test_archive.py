"""Unpacking what strangers made: rows 4, 5 and 7 of the threats, each an archive."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fifo.hypervisors.linux.images.archive import (
    CAPABILITY,
    DIRECTORY,
    Bounds,
    Refused,
    Unpacker,
    capability,
)
from tests.hypervisors.linux.images.archives import (
    directory,
    entry,
    hard_link,
    link,
    tar,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hypervisors.linux.images.archives import Entry

BOUNDS = Bounds(unpacked_bytes=10_000, entries=50)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give an empty root beside which there is something worth reaching."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    made = tmp_path / "root"
    made.mkdir()
    return made


def unpack(root: Path, *archives: bytes, bounds: Bounds = BOUNDS, whiteouts: bool = False) -> None:
    """Unpack archives over each other, owners left as they are."""
    descriptor = os.open(root, DIRECTORY)
    try:
        unpacker = Unpacker(descriptor, bounds, 0)
        for archive in archives:
            unpacker.unpack(io.BytesIO(archive), whiteouts=whiteouts)
    finally:
        os.close(descriptor)


ATTACKS: dict[str, tuple[Entry, ...]] = {
    "a path that climbs out": (entry("../outside/new", data=b"x"),),
    "a path that climbs out in its middle": (entry("a/../../outside/new", data=b"x"),),
    "an absolute path": (entry("/outside/new", data=b"x"),),
    "a write through an absolute link": (link("way", "/outside"), entry("way/new", data=b"x")),
    "a write through a climbing link": (link("way", "../outside"), entry("way/new", data=b"x")),
    "a write through a link to the inside": (
        directory("in"), link("way", "in"), entry("way/new", data=b"x"),
    ),
    "a write through a link of a link": (
        link("one", "../outside"), link("two", "one"), entry("two/new", data=b"x"),
    ),
    "a directory made through a link": (link("way", "../outside"), directory("way/new")),
    "a link made through a link": (link("way", "../outside"), link("way/new", "x")),
    "a hard link to the outside": (hard_link("mine", "../outside/secret"),),
    "a hard link by an absolute path": (hard_link("mine", "/etc/passwd"),),
    "a hard link through a link": (link("way", "../outside"), hard_link("mine", "way/secret")),
    "a hard link to nothing": (hard_link("mine", "nothing"),),
    "a hard link to a directory": (directory("in"), hard_link("mine", "in")),
    "a block device": (entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0),),
    "a character device": (entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3),),
    "a path through a file": (entry("file", data=b"x"), entry("file/new", data=b"x")),
    "a name too long": (entry("n" * 300, data=b"x"),),
    "a path too long": (entry("/".join(["n" * 200] * 30), data=b"x"),),
    "a path too deep": (entry("/".join("d" * 300), data=b"x"),),
    "a file larger than all may be": (entry("big", data=b"x" * 10_001),),
    "files larger together": tuple(entry(f"f{n}", data=b"x" * 2_001) for n in range(5)),
    "too many entries": tuple(entry(f"f{n}") for n in range(51)),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_whole_archive_is_refused_and_nothing_outside_is_touched(
    root: Path, attack: str
) -> None:
    with pytest.raises(Refused):
        unpack(root, tar(*ATTACKS[attack]))
    untouched(root)


@pytest.mark.parametrize("owner", [70_000, -5])
def test_an_owner_that_no_zone_has_is_refused(root: Path, owner: int) -> None:
    archive = tar(entry("f", uid=owner), form=tarfile.GNU_FORMAT)
    descriptor = os.open(root, DIRECTORY)
    unpacker = Unpacker(descriptor, BOUNDS, 0, lambda *_, **__: None)
    with pytest.raises(Refused, match="owner"):
        unpacker.unpack(io.BytesIO(archive))
    os.close(descriptor)


def untouched(root: Path) -> None:
    """Look whether all is as it was beside the root."""
    assert sorted(path.name for path in root.parent.iterdir()) == ["outside", "root"]
    (secret,) = (root.parent / "outside").iterdir()
    assert (secret.read_text(), secret.stat().st_nlink) == ("secret", 1)


def test_a_sparse_file_counts_with_the_size_it_unpacks_to(root: Path) -> None:
    sparse = "GNU.sparse"
    headers = {
        f"{sparse}.major": "1", f"{sparse}.minor": "0", f"{sparse}.name": "big",
        f"{sparse}.realsize": str(10**12),
    }  # fmt: skip
    body = b"1\n0\n1\n".ljust(512, b"\0") + b"x".ljust(512, b"\0")
    with pytest.raises(Refused, match="bytes unpacked"):
        unpack(root, tar(entry("GNUSparseFile.0/big", data=body, pax_headers=headers)))


def test_a_header_that_announces_gigabytes_is_not_read(root: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    with pytest.raises(Refused):
        unpack(root, info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


@pytest.mark.parametrize("size", [0, 700, 1_000, 1_536, 1_600, 3_072])
def test_an_archive_that_is_cut_off_is_refused(root: Path, size: int) -> None:
    whole = tar(entry("a", data=b"x" * 600), entry("b", data=b"y" * 600))
    with pytest.raises(Refused):
        unpack(root, whole[:size])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=3_000))
def test_noise_is_refused_or_harmless(root: Path, data: bytes) -> None:
    with contextlib.suppress(Refused):
        unpack(root, data)
    untouched(root)


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c"]), min_size=1, max_size=5).map(
    "/".join
)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    entries=st.lists(st.tuples(NAMES, KINDS, NAMES | st.just("../outside")), max_size=8),
    whiteouts=st.booleans(),
)
def test_no_sequence_of_entries_reaches_the_outside(
    root: Path, entries: list[tuple[str, bytes, str]], whiteouts: bool
) -> None:
    made = [
        entry(name, kind, b"x" if kind == tarfile.REGTYPE else b"", linkname=target)
        for name, kind, target in entries
    ]
    with contextlib.suppress(Refused):
        unpack(root, tar(*made), whiteouts=whiteouts)
    untouched(root)


def test_what_is_right_arrives_as_it_was(root: Path) -> None:
    unpack(
        root,
        tar(
            directory("./"),
            directory("usr/bin"),
            entry("usr/bin/tool", data=b"#!", mode=0o4755, mtime=1_000_000_000),
            link("bin", "usr/bin"),
            link("etc/mtab", "/proc/mounts"),
            hard_link("usr/bin/same", "usr/bin/tool"),
            entry("pipe", tarfile.FIFOTYPE),
            entry("deep/in/the/tree", data=b"x"),
        ),
    )
    tool = root / "usr" / "bin" / "tool"
    assert (tool.read_bytes(), stat.S_IMODE(tool.stat().st_mode)) == (b"#!", 0o4755)
    assert tool.stat().st_mtime == 1_000_000_000
    assert tool.stat().st_ino == (root / "usr" / "bin" / "same").stat().st_ino
    assert str((root / "etc" / "mtab").readlink()) == "/proc/mounts"
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert (root / "deep" / "in" / "the" / "tree").read_bytes() == b"x"


def test_a_directory_without_write_permission_can_still_be_filled(root: Path) -> None:
    sealed = entry("sealed", tarfile.DIRTYPE, mode=0o555)
    unpack(root, tar(sealed, entry("sealed/file", data=b"x")))
    assert stat.S_IMODE((root / "sealed").stat().st_mode) == 0o555


def test_later_entries_replace_earlier_ones(root: Path) -> None:
    unpack(
        root,
        tar(entry("a", data=b"1"), directory("d"), entry("d/x", data=b"1"), link("l", "a")),
        tar(entry("a", data=b"2"), entry("d", data=b"now a file"), entry("l", data=b"3")),
    )
    assert (root / "a").read_bytes() == b"2"
    assert (root / "d").read_bytes() == b"now a file"
    assert not (root / "l").is_symlink()


def test_whiteouts_remove_what_lower_layers_had(root: Path) -> None:
    lower = tar(
        directory("a"), entry("a/one", data=b"1"), entry("a/two", data=b"2"),
        directory("b"), entry("b/three", data=b"3"), link("gone", "../outside"),
    )  # fmt: skip
    upper = tar(
        entry("a/.wh.one"), entry("b/.wh..wh..opq"), entry("b/four", data=b"4"), entry(".wh.gone")
    )
    unpack(root, lower, upper, whiteouts=True)
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    assert found == ["a", "a/two", "b", "b/four"]
    assert (root.parent / "outside" / "secret").exists()


def test_a_whiteout_of_what_is_not_there_changes_nothing(root: Path) -> None:
    unpack(root, tar(entry(".wh.nothing"), directory("a"), entry("a/.wh.nothing")), whiteouts=True)
    with pytest.raises(Refused):
        unpack(root, tar(entry(".wh...")), whiteouts=True)


def test_all_layers_share_one_bound(root: Path) -> None:
    layer = tar(entry("a", data=b"x" * 6_000))
    with pytest.raises(Refused, match="bytes unpacked"):
        unpack(root, layer, layer)


SECOND = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)


def test_capabilities_of_a_program_are_given_for_the_zones_root() -> None:
    third = capability(SECOND, 1_000_000, "ping")
    assert struct.unpack("<6I", third) == (0x03000001, 1 << 13, 0, 0, 0, 1_000_000)
    assert capability(third, 2_000_000, "ping")[-4:] == struct.pack("<I", 2_000_000)
    assert capability(SECOND, 0, "ping") == SECOND
    for bad in (b"", b"\1\0\0\0", SECOND[:12], struct.pack("<5I", 0x09000000, 0, 0, 0, 0)):
        with pytest.raises(Refused):
            capability(bad, 1_000_000, "ping")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root gives files away")
def test_owners_and_capabilities_are_shifted_to_the_zones_users(root: Path) -> None:
    headers = {f"SCHILY.xattr.{CAPABILITY}": SECOND.decode("utf-8", "surrogateescape")}
    archive = tar(
        entry("ping", data=b"x", uid=0, gid=5, pax_headers=headers), link("l", "ping"),
        entry("in/file", data=b"x", uid=33, gid=33),
    )  # fmt: skip
    descriptor = os.open(root, DIRECTORY)
    Unpacker(descriptor, BOUNDS, 1_000_000, os.chown).unpack(io.BytesIO(archive))
    os.close(descriptor)
    found = (root / "ping").stat()
    assert (found.st_uid, found.st_gid) == (1_000_000, 1_000_005)
    assert (root / "l").lstat().st_uid == 1_000_000
    assert (root / "in").stat().st_uid == 1_000_000
    assert (root / "in" / "file").stat().st_uid == 1_000_033
    stored = os.getxattr(root / "ping", CAPABILITY)
    assert struct.unpack("<6I", stored)[-1] == 1_000_000
