"""The registered names of an agent's processes: several agents may live on one node."""

from __future__ import annotations

from typing import TypeAlias

Name: TypeAlias = tuple[str, str]


def instance(host: str, uid: str) -> Name:
    """Name the actor of an instance."""
    return (host, uid)


def agent(host: str) -> Name:
    """Name the whole tree's supervisor."""
    return ("agent", host)


def store(host: str) -> Name:
    """Name the owner of the agent's store."""
    return ("agent store", host)


def journal(host: str) -> Name:
    """Name the journal."""
    return ("agent journal", host)


def tasks(host: str) -> Name:
    """Name the supervisor of driver calls."""
    return ("agent driver calls", host)


def driver(host: str) -> Name:
    """Name who asks the driver."""
    return ("agent driver", host)


def image_cache(host: str) -> Name:
    """Name the image cache."""
    return ("agent image cache", host)


def sampling(host: str) -> Name:
    """Name who measures."""
    return ("agent sampling", host)


def zones(host: str) -> Name:
    """Name the supervisor of zones."""
    return ("agent zones", host)


def virtual_machines(host: str) -> Name:
    """Name the supervisor of virtual machines."""
    return ("agent virtual machines", host)


def gateway(host: str) -> Name:
    """Name the front."""
    return ("agent gateway", host)


def reporter(host: str) -> Name:
    """Name who reports to the session."""
    return ("agent reporter", host)
