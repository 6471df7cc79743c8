"""What people call resources by: a whole name, an id, a uid, or the beginning of a uid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fifo.cli.exits import report
from fifo.cli.kinds import KINDS, messages_of, stub_of
from fifo.model import names
from fifo.model.errors import InvalidInput, NotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fifo.cli.client import Client
    from fifo.cli.target import Target

SHORT_ID: Final = re.compile(r"(?=.{4,35}$)[0-9a-f]{4,8}(-[0-9a-f-]*)?")
"""The beginning of a uid: four digits and more, not all of it."""
SHOWN: Final = 5
"""Names listed of those that a beginning fits."""


def whole(target: Target, word: str, text: str) -> str:
    """Give the whole name of what is named by an id; a whole name stays as it is."""
    kind = KINDS[word]
    if "/" in text:
        return text
    return f"{target.parent()}/{kind.plural}/{text}" if kind.of_org else f"{kind.plural}/{text}"


def name_of(client: Client, target: Target, word: str, text: str) -> str:
    """Give a whole name; asks the server where a text may be the beginning of a uid.

    What has exactly this name wins over whatever's uid begins so. Raises InvalidInput if the
    beginning fits several.
    """
    name = whole(target, word, text)
    own = name.rpartition("/")[2]
    if not SHORT_ID.fullmatch(own):
        return name
    fitting = _beginning(client, target, word, name, own)
    if name in fitting or not fitting:
        return name
    if len(fitting) > 1:
        shown = ", ".join(fitting[:SHOWN])
        raise InvalidInput(own, (Violation("id", f"more of it: it fits {shown}"),))
    return fitting[0]


def names_of(client: Client, target: Target, texts: Iterable[str]) -> tuple[list[str], int]:
    """Give the whole names of several instances, and the exit status of those that name none.

    These are told on standard error, and stop no other.
    """
    found: list[str] = []
    statuses: list[int] = []
    for text in texts:
        try:
            found.append(_instance(client, target, text))
        except (InvalidInput, NotFound) as error:
            statuses.append(report(error) or 0)
    return found, next(iter(statuses), 0)


def _instance(client: Client, target: Target, text: str) -> str:
    name = name_of(client, target, "instance", text)
    own = name.rpartition("/")[2]
    if SHORT_ID.fullmatch(own) and not names.is_id(own):
        raise NotFound("there is no instance whose uid begins so", own, "list what there is")
    return str(names.parse(name, names.INSTANCES, "id"))


def foreign_uid(client: Client, host: str, text: str) -> str:
    """Give the uid of a foreign instance on a host, named whole, of which a text is the beginning.

    What is no beginning, or fits none, stays as it is: the server says what is wrong with it.
    """
    if not SHORT_ID.fullmatch(text):
        return text
    found = [own for own in foreign_uids(client, host) if own.startswith(text)]
    if len(found) > 1:
        shown = ", ".join(found[:SHOWN])
        raise InvalidInput(text, (Violation("uid", f"more of it: it fits {shown}"),))
    return found[0] if found else text


def foreign_uids(client: Client, host: str) -> list[str]:
    """List the foreign instances of a host, named whole, by uid."""
    request = messages_of("hypervisor").GetHypervisorRequest(name=host)
    found: Any = client.call(stub_of(client, "hypervisor").GetHypervisor, request)
    return list(found.foreign_instances)


def _beginning(client: Client, target: Target, word: str, name: str, own: str) -> list[str]:
    kind = KINDS[word]
    request = getattr(messages_of(word), f"List{kind.title}sRequest")(
        filter=f'name = "{name}" OR uid = "{own}*"'
    )
    if kind.of_org:
        request.parent = target.parent()
    method = getattr(stub_of(client, word), f"List{kind.title}s")
    found: Any = client.pages(method, request, kind.plural, 0)
    return [resource.name for resource in found]
