"""The kernel package is what apt's lists say, and an unknown one is said to be unknown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.guests import kernel_package
from fifo.hypervisors.linux.guests.kernel_package import KernelPackage
from fifo.hypervisors.linux.guests.spawning import Finished
from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

TOOLS = {"env": "env", "apt-cache": "apt-cache"}
NAME = "linux-image-6.1.0-56-cloud-amd64"
DEPENDS = f"linux-image-cloud-amd64\n  Depends: {NAME}\n"
SHOW = f"Package: {NAME}\nVersion: 6.1.192-2\nSize: 1\nSHA256: {'ab' * 32}\n"


class Apt:
    """Stands in for apt-cache: what it prints for each of its two commands."""

    def __init__(self, depends: str, show: str = SHOW, status: int = 0) -> None:
        self._printed = {"depends": depends, "show": show}
        self._status = status

    async def __call__(
        self, argv: Sequence[str], *, stdin: bytes = b"", deadline_s: float
    ) -> Finished:
        assert argv[:3] == ["env", "LC_ALL=C", "apt-cache"]
        return Finished(self._status, self._printed[argv[3]].encode(), b"")


def test_the_package_that_the_meta_package_depends_on_is_the_newest() -> None:
    found = asyncio.run(kernel_package.newest(Apt(DEPENDS), TOOLS))
    assert found == KernelPackage(NAME, "6.1.192-2", "ab" * 32)


@pytest.mark.parametrize(
    "apt",
    [
        Apt("", status=100),
        Apt("linux-image-cloud-amd64\n"),
        Apt(DEPENDS, "Package: x\n"),
    ],
    ids=["not in the lists", "depends on nothing", "without version"],
)
def test_lists_without_the_package_are_to_be_updated(apt: Apt) -> None:
    with pytest.raises(NotReady, match="apt-get update") as refused:
        asyncio.run(kernel_package.newest(apt, TOOLS))
    assert refused.value.details == {"packages": "linux-image-cloud-amd64"}
