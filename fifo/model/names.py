"""Resource names, as AIP-122 has them: `orgs/default/instances/web-1`.

A name is made of the resource's own id, which its creator chose or which was made from the uid. The
uid is what everything else knows a resource by.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fifo.model import limits
from fifo.model.errors import InvalidInput, Violation

DEFAULT_ORG: Final = "default"
"""The one organisation there is until tenants exist."""

ID: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""What a resource id looks like (AIP-122)."""
UID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""What a uid looks like: vmadm takes lower-case hexadecimal only."""

INSTANCES: Final = "instances"
HYPERVISORS: Final = "hypervisors"
IMAGES: Final = "images"
PACKAGES: Final = "packages"
NETWORKS: Final = "networks"
OPERATIONS: Final = "operations"
SNAPSHOTS: Final = "snapshots"
UPLOADS: Final = "uploads"
"""What callers know bytes of images by, and the directory that keeps them."""

_TENANT: Final = frozenset({INSTANCES})
_TOP: Final = frozenset({HYPERVISORS, IMAGES, PACKAGES, NETWORKS, OPERATIONS})


class Name(NamedTuple):
    """A parsed name; `org` is empty for what belongs to no organisation."""

    collection: str
    id: str
    org: str = ""
    snapshot: str = ""

    def __str__(self) -> str:
        own = f"{self.collection}/{self.id}"
        whole = f"orgs/{self.org}/{own}" if self.org else own
        return f"{whole}/{SNAPSHOTS}/{self.snapshot}" if self.snapshot else whole


def is_id(text: str) -> bool:
    """Tell whether a text may be a resource id."""
    return ID.fullmatch(text) is not None


def is_uid(text: str) -> bool:
    """Tell whether a text is a uid."""
    return UID.fullmatch(text) is not None


def id_from_uid(uid: str) -> str:
    """Make the id of a resource whose creator chose none; an id begins with a letter."""
    return f"i-{uid}"


def uid_from_id(resource_id: str) -> str | None:
    """Give the uid that an id was made from, or that it is; None for a chosen id."""
    bare = resource_id.removeprefix("i-")
    return bare if is_uid(bare) else None


def instance_name(resource_id: str, org: str = DEFAULT_ORG) -> str:
    """Give the name of an instance."""
    return f"orgs/{org}/{INSTANCES}/{resource_id}"


def parse(text: str, collection: str, field: str = "name") -> Name:
    """Take a name of the given collection apart; a uid may stand in place of the id.

    Raises InvalidInput with the form that is wanted.
    """
    parts = text.split("/")
    match parts:
        case ["orgs", org, found, own] if collection in _TENANT and is_id(org):
            name = Name(found, own, org)
        case [found, own] if collection in _TOP:
            name = Name(found, own)
        case _:
            name = Name("", "")
    if name.collection == collection and _is_own(name.id):
        return name
    raise InvalidInput(text or field, (Violation(field, f"a name like {_form(collection)}"),))


def parse_snapshot(text: str, field: str = "name") -> Name:
    """Take `orgs/default/instances/web/snapshots/before` apart; raises InvalidInput."""
    instance, found, snapshot = text.rpartition(f"/{SNAPSHOTS}/")
    if found and SNAPSHOT_ID.fullmatch(snapshot):
        return parse(instance, INSTANCES, field)._replace(snapshot=snapshot)
    wanted = f"a name like {_form(INSTANCES)}/{SNAPSHOTS}/before"
    raise InvalidInput(text or field, (Violation(field, wanted),))


SNAPSHOT_ID: Final = re.compile(r"[A-Za-z0-9_.:%-]{1,64}")
"""vmadm's own grammar for snapshot names."""


def parse_operation(text: str, field: str = "name") -> str:
    """Give the id of an operation by its name; raises InvalidInput.

    An id is looked up as it is: whoever made it up finds nothing.
    """
    collection, _, own = text.partition("/")
    if collection == OPERATIONS and own:
        return own
    wanted = "a name like operations/op-1" if text else "a name: an operation without one is done"
    raise InvalidInput(text or field, (Violation(field, wanted),))


def parse_org(text: str, field: str = "parent") -> str:
    """Take a parent `orgs/default` apart, `orgs/-` for all; raises InvalidInput."""
    found, _, org = text.partition("/")
    if found == "orgs" and (org == "-" or is_id(org)):
        return org
    raise InvalidInput(text or field, (Violation(field, "a name like orgs/default, or orgs/-"),))


def _is_own(text: str) -> bool:
    return len(text) <= limits.ID_CHARACTERS and (is_id(text) or is_uid(text))


def _form(collection: str) -> str:
    return f"orgs/default/{collection}/web-1" if collection in _TENANT else f"{collection}/one"
