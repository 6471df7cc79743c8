"""The permission check: what a principal may do.

A permission is `resource.verb`, as in `instance.get`. A principal holds a set of them, `*` for all;
what is not held is refused. There is nothing to shadow or to deny, so no order of rules matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model.errors import Forbidden

if TYPE_CHECKING:
    from fifo.security.principals import Principal

ALL: Final = "*"
LOCAL_ONLY: Final = "local."
"""Permissions that begin so are the local socket's alone, whatever else is held."""


def may(principal: Principal, permission: str) -> bool:
    """Tell whether a principal may do something."""
    if permission.startswith(LOCAL_ONLY) and not principal.local:
        return False
    held = principal.permissions
    return ALL in held or permission in held


def require(principal: Principal, permission: str) -> None:
    """Raise Forbidden, which names the permission, unless a principal holds it."""
    if may(principal, permission):
        return
    if permission.startswith(LOCAL_ONLY):
        what, remedy = "it is done on the node's own socket alone", "run it on the node itself"
    else:
        what, remedy = f"{principal.name} lacks the permission {permission}", "ask an operator"
    raise Forbidden(what, permission, remedy, details={"permission": permission})
