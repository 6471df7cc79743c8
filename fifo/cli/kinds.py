"""The kinds of resources in words: the API's, those of names, and which columns their tables have.

Imports nothing of gRPC: commands are made from this table before any of them runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from fifo.cli.client import Client


class Kind(NamedTuple):
    """A kind; `of_org` ones are below an organisation, the others at the top."""

    title: str
    plural: str
    columns: str
    of_org: bool = False

    @property
    def resource_type(self) -> str:
        """What watches call it."""
        return f"fifo/{self.title}"


KINDS: Final = {
    "instance": Kind("Instance", "instances", "INSTANCES", of_org=True),
    "image": Kind("Image", "images", "IMAGES"),
    "package": Kind("Package", "packages", "PACKAGES"),
    "network": Kind("Network", "networks", "NETWORKS"),
    "hypervisor": Kind("Hypervisor", "hypervisors", "HYPERVISORS"),
}


def messages_of(word: str) -> Any:
    """Import a resource's requests."""
    return importlib.import_module(f"fifo.v1.{word}_service_pb2")


def stub_of(client: Client, word: str) -> Any:
    """Make the stub of a resource's service."""
    services = importlib.import_module(f"fifo.v1.{word}_service_pb2_grpc")
    return getattr(services, f"{KINDS[word].title}ServiceStub")(client.channel)


def columns_of(word: str) -> Any:
    """Give the columns of a resource's table."""
    columns = importlib.import_module("fifo.cli.columns")
    return getattr(columns, KINDS[word].columns)
