"""A name table of one's own, for the cases with global and via names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisors import Ref


class Names:
    """The smallest table that `Via` takes."""

    def __init__(self) -> None:
        self.held: dict[Any, Ref[Any]] = {}

    def register_name(self, name: Any, ref: Ref[Any]) -> bool:
        return self.held.setdefault(name, ref) is ref

    def unregister_name(self, name: Any) -> None:
        self.held.pop(name, None)

    def whereis_name(self, name: Any) -> Ref[Any] | None:
        return self.held.get(name)
