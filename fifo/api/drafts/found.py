"""What a draft is made with: what the request may refer to, and the violations found so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model.errors import Violation

if TYPE_CHECKING:
    from fifo.api.references import References
    from fifo.store.catalog import Catalog


PAYLOAD: Final = "vmadm_json."
"""The prefix of fields that came in vmadm's words."""


class Drafting:
    """One draft in the making; every violation is noted, none stops it."""

    def __init__(self, catalog: Catalog, references: References, prefix: str = "") -> None:
        self.catalog = catalog
        self.references = references
        self.prefix = prefix
        self.violations: list[Violation] = []

    def refuse(self, field: str, wanted: str) -> None:
        """Note a violation; the field is named from the request's root."""
        self.violations.append(Violation(self.prefix + field, wanted))

    def uid(self, collection: str, name: str, field: str) -> str:
        """Find what a field refers to; what is missing is noted, and '' given."""
        if self.prefix.endswith(PAYLOAD) and field.endswith(("image", "network")):
            # What our messages call `image`, whoever wrote the payload called `image_uuid`.
            field = f"{field}_uuid"
        return self.references.uid(collection, name, self.prefix + field, self.violations.append)
