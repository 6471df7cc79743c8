"""Fixtures: two connected nodes on each kind of host, or on the simulated one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisors.remote.cluster import CLUSTERS, Cluster, SimulatedCluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=sorted(CLUSTERS))
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Nodes a and b, connected, under each of the three hosts in turn."""
    made = CLUSTERS[request.param]()
    made.add("a")
    made.add("b")
    made.connect("ab")
    yield made
    made.close()


@pytest.fixture
def simulated_nodes() -> SimulatedCluster:
    """Nodes a and b, connected, for tests about time and order alone."""
    made = SimulatedCluster()
    made.add("a")
    made.add("b")
    made.connect("ab")
    return made


@pytest.fixture
def three() -> SimulatedCluster:
    """Nodes a, b and c, each connected to the others."""
    made = SimulatedCluster()
    for name in "abc":
        made.add(name)
    made.connect("ab", "ac", "bc")
    return made
