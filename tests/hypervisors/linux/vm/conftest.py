"""Fixtures of VMs' tests: real VMs, which leave nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hypervisors.linux.vm.vm_host import VmHost, small_vm, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def zones() -> Iterator[VmHost]:
    """Give a share of this host with the small VM in its cache; a test opens its driver."""
    if reason := why_not():
        pytest.skip(reason)
    made = VmHost.make(small_vm())
    assert isinstance(made, VmHost)
    yield made
    made.clear()
