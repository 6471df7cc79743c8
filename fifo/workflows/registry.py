"""Every workflow there is. What stands here has its proofs; nothing else can be run."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fifo.workflows import adopt, change, create, delete, images, snapshots, strangers

if TYPE_CHECKING:
    from fifo.workflows.workflow import Registry

WORKFLOWS: Final[Registry] = MappingProxyType(
    {
        workflow.kind: workflow
        for workflow in (
            create.CREATE,
            create.CREATE_BATCH,
            delete.DELETE,
            delete.DELETE_BATCH,
            change.START,
            change.STOP,
            change.REBOOT,
            change.UPDATE,
            snapshots.TAKE,
            snapshots.DROP,
            snapshots.ROLL_BACK,
            images.IMPORT,
            images.CAPTURE,
            images.DELETE_IMAGE,
            strangers.REMOVE,
            adopt.ADOPT,
        )
    }
)
