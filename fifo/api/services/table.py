"""All services of a node, by the names they are called by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fifo.api.services.addresses import AddressMethods
from fifo.api.services.admin import AdminService
from fifo.api.services.events import EventLists
from fifo.api.services.health import Health
from fifo.api.services.hypervisors import HypervisorService
from fifo.api.services.images import ImageService
from fifo.api.services.insides import Insides
from fifo.api.services.instance_batches import InstanceBatches
from fifo.api.services.instance_changes import InstanceChanges
from fifo.api.services.instances import InstanceReads
from fifo.api.services.networks import NetworkService
from fifo.api.services.operations import OperationsService
from fifo.api.services.packages import PackageService
from fifo.api.services.reflection import Reflection
from fifo.api.services.snapshots import SnapshotService
from fifo.api.services.strangers import Strangers
from fifo.api.services.supervision import SupervisionService
from fifo.api.services.watching import Watching
from fifo.api.uploads import Uploads
from fifo.model import names

if TYPE_CHECKING:
    from fifo.api.affairs import NodeAffairs
    from fifo.api.backend import Backend
    from fifo.api.changes import Changes
    from fifo.api.identity import Identity
    from fifo.security.certificates import Certificates


class Services(NamedTuple):
    """The objects that serve each service, who is told when the node goes, and the uploads."""

    objects: dict[str, tuple[object, ...]]
    health: Health
    uploads: Uploads


def services_of(
    backend: Backend,
    changes: Changes,
    affairs: NodeAffairs,
    identity: Identity,
    certificates: Certificates,
) -> Services:
    """Make all services."""
    insides, health = Insides(backend), Health()
    uploads = Uploads(backend.settings.directory / names.UPLOADS, backend.now)
    objects: dict[str, tuple[object, ...]] = {
        "fifo.v1.InstanceService": (
            InstanceReads(backend),
            InstanceChanges(backend),
            InstanceBatches(backend),
            insides,
        ),
        "fifo.v1.SnapshotService": (SnapshotService(backend),),
        "fifo.v1.HypervisorService": (HypervisorService(backend), Strangers(backend)),
        "fifo.v1.ImageService": (ImageService(backend, uploads),),
        "fifo.v1.PackageService": (PackageService(backend),),
        "fifo.v1.NetworkService": (NetworkService(backend), AddressMethods(backend)),
        "google.longrunning.Operations": (OperationsService(backend),),
        "fifo.v1.EventService": (Watching(backend, changes), EventLists(backend)),
        "fifo.v1.ConsoleService": (insides,),
        "fifo.v1.SupervisionService": (SupervisionService(backend),),
        "fifo.v1.AdminService": (AdminService(backend, affairs, identity, certificates),),
        "grpc.health.v1.Health": (health,),
        "grpc.reflection.v1alpha.ServerReflection": (Reflection(),),
    }
    return Services(objects, health, uploads)
