"""Modules are loaded after what they need, found by what stands in them."""

from __future__ import annotations

import lzma
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fifo.hypervisors.linux.guests import kernel_modules
from fifo.model.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def module(*depends: str) -> bytes:
    """Make the least ELF file with a .modinfo section."""
    info = b"license=GPL\0depends=" + ",".join(depends).encode() + b"\0"
    names = b"\0.modinfo\0.shstrtab\0"
    sections = [
        (0, 0, 0),
        (names.index(b".modinfo"), 64, len(info)),
        (names.index(b".shstrtab"), 64 + len(info), len(names)),
    ]
    table = b"".join(
        kernel_modules.SECTION_HEADER.pack(name, 1, 0, 0, offset, size, 0, 0, 1, 0)
        for name, offset, size in sections
    )
    head = bytearray(64)
    head[:4] = b"\x7fELF"
    struct.pack_into("<Q", head, 40, 64 + len(info) + len(names))
    struct.pack_into("<HHH", head, 58, kernel_modules.SECTION_HEADER.size, len(sections), 2)
    return bytes(head) + info + names + table


def write(root: Path, depends: Mapping[str, tuple[str, ...]]) -> dict[str, Path]:
    root.mkdir(exist_ok=True)
    for name, others in depends.items():
        (root / f"{name}.ko").write_bytes(module(*others))
    return kernel_modules.find(root)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_module_comes_once_and_after_what_it_needs(tmp_path: Path, data: st.DataObject) -> None:
    names = [f"m{index}" for index in range(data.draw(st.integers(1, 8)))]
    depends = {
        name: tuple(data.draw(st.lists(st.sampled_from(names[:index] or ["m0"]), max_size=3)))
        if index
        else ()
        for index, name in enumerate(names)
    }
    wanted = data.draw(st.lists(st.sampled_from(names), min_size=1))
    order = list(kernel_modules.load_order(wanted, write(tmp_path / "modules", depends)))
    assert set(wanted) <= set(order)
    assert len(set(order)) == len(order)
    for name in order:
        assert all(order.index(other) < order.index(name) for other in depends[name])


def test_a_dash_in_a_name_is_an_underscore(tmp_path: Path) -> None:
    available = write(tmp_path, {"virtio-rng": ("rng-core",), "rng-core": ()})
    assert list(kernel_modules.load_order(["virtio_rng"], available)) == ["rng_core", "virtio_rng"]


def test_what_the_kernel_has_built_in_is_left_out(tmp_path: Path) -> None:
    available = write(tmp_path, {"here": ()})
    assert list(kernel_modules.load_order(["built_in", "here"], available)) == ["here"]


def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    available = write(tmp_path, {"top": ("absent",)})
    with pytest.raises(Unsupported, match="module top needs absent"):
        kernel_modules.load_order(["top"], available)


def test_a_compressed_module_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(module()))
    assert kernel_modules.load_order(["a"], kernel_modules.find(tmp_path)) == {"a": module()}


def test_a_module_without_the_section_needs_nothing() -> None:
    without = module("x").replace(b".modinfo\0", b".nothing\0")
    assert kernel_modules.dependencies(without) == ()
