"""A tree gives the same archive whatever its order, and archives hold what the tree holds."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.guests import file_tree
from fifo.hypervisors.linux.guests.file_tree import Entry, Tree

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text("ab-.0", min_size=1, max_size=4).filter(lambda name: name.strip("."))
ENTRIES = st.one_of(
    st.builds(
        file_tree.file,
        st.binary(max_size=9),
        st.sampled_from([0o644, 0o755, 0o600]),
    ),
    st.builds(file_tree.link, st.sampled_from(["/bin/x", "../y"])),
    st.just(file_tree.DIRECTORY),
    st.just(file_tree.STICKY_DIRECTORY),
)
# Leaves of depth two and three: a path is never both a file and a directory.
TREES = st.dictionaries(
    st.one_of(
        st.builds("d/{}".format, NAMES),
        st.builds("d/{}.d/{}".format, st.sampled_from("xyz"), NAMES),
    ),
    ENTRIES,
    max_size=8,
)
EXAMPLE: Tree = {
    "bin/tool": file_tree.script("#!/bin/sh\n"),
    "bin/other": file_tree.link("tool"),
    "tmp": file_tree.STICKY_DIRECTORY,
    "etc/empty": file_tree.file(b""),
}


def shuffled(tree: Tree) -> Tree:
    return dict(reversed(tree.items()))


def read_tar(data: bytes) -> Tree:
    kinds = {kind: mode for mode, kind in file_tree.TAR_TYPES.items()}
    tree = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            assert (info.uid, info.gid, info.mtime) == (0, 0, 0)
            file = archive.extractfile(info) if info.isfile() else None
            content = file.read() if file else info.linkname.encode()
            tree[info.name] = Entry(kinds[info.type] | info.mode, content)
    return tree


@given(TREES)
def test_a_tar_holds_the_whole_tree_in_order(tree: Tree) -> None:
    found = read_tar(file_tree.tar(tree))
    assert list(found.items()) == list(file_tree.complete(tree).items())


@given(TREES)
def test_the_order_of_the_tree_changes_no_byte(tree: Tree) -> None:
    assert file_tree.tar(tree) == file_tree.tar(shuffled(tree))
    assert file_tree.newc(tree) == file_tree.newc(shuffled(tree))
    assert file_tree.fingerprint(tree) == file_tree.fingerprint(shuffled(tree))


@given(TREES)
def test_a_directory_comes_before_what_is_in_it(tree: Tree) -> None:
    paths = list(file_tree.complete(tree))
    for index, path in enumerate(paths):
        parent = path.rpartition("/")[0]
        assert not parent or parent in paths[:index]


def test_an_initramfs_unpacks_to_the_tree(tmp_path: Path) -> None:
    subprocess.run(
        ["/bin/busybox", "cpio", "-idm"],
        cwd=tmp_path,
        input=file_tree.newc(EXAMPLE),
        check=True,
        capture_output=True,
    )
    assert on_disk(tmp_path) == file_tree.complete(EXAMPLE)


def test_a_changed_mode_changes_the_fingerprint() -> None:
    changed = {**EXAMPLE, "etc/empty": file_tree.file(b"", 0o600)}
    assert file_tree.fingerprint(changed) != file_tree.fingerprint(EXAMPLE)


def on_disk(root: Path) -> Tree:
    tree = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        content = b""
        if stat.S_ISLNK(mode):
            content = str(path.readlink()).encode()
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        tree[str(path.relative_to(root))] = Entry(mode, content)
    return tree
