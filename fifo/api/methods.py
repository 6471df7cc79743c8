"""The one table of all methods that are served: what each needs, and how it is treated.

A test compares it with the descriptors, so that no method is served without a row, and another
calls every row without credentials. `docs/checklists` leads here from a new rpc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from fifo.api import limits

if TYPE_CHECKING:
    from fifo.api.admission import Class

Kind = Literal["read", "mutation"]


class Method(NamedTuple):
    """One method.

    `deadline_s` holds where the caller sets none; None is for ever, for streams. `frees` is true of
    what makes room, or ends what takes it: it is done on a full disk too.
    """

    service: str
    name: str
    permission: str
    kind: Kind
    deadline_s: float | None
    admission: Class
    audited: bool
    frees: bool = False

    @property
    def path(self) -> str:
        """What it is called by on the wire."""
        return f"/{self.service}/{self.name}"


class Row(NamedTuple):
    """A method without its service."""

    name: str
    permission: str
    kind: Kind
    deadline_s: float | None
    admission: Class
    audited: bool
    frees: bool = False


def read(name: str, permission: str) -> Row:
    """A method that looks, and is counted."""
    return Row(name, permission, "read", limits.READ_S, "reads", audited=False)


def write(name: str, permission: str) -> Row:
    """A method that changes something, and is told to the audit."""
    return Row(name, permission, "mutation", limits.WRITE_S, "writes", audited=True)


def free(name: str, permission: str) -> Row:
    """A method that changes something, and is done with no room on the disk too."""
    return write(name, permission)._replace(frees=True)


def watch(name: str, permission: str) -> Row:
    """A stream that tells for as long as the caller stays."""
    return Row(name, permission, "read", None, "watches", audited=False)


def session(name: str, permission: str, kind: Kind = "mutation") -> Row:
    """A stream that lets a caller in, or hands out much: the audit is told of it."""
    return Row(name, permission, kind, None, "watches", audited=True)


def service(name: str, *rows: Row) -> tuple[Method, ...]:
    """Give the methods of a service."""
    return tuple(Method(name, *row) for row in rows)


METHODS: Final = (
    *service(
        "fifo.v1.InstanceService",
        read("GetInstance", "instance.get"),
        read("ListInstances", "instance.list"),
        write("CreateInstance", "instance.create"),
        write("UpdateInstance", "instance.update"),
        free("DeleteInstance", "instance.delete"),
        write("StartInstance", "instance.start"),
        free("StopInstance", "instance.stop"),
        write("RebootInstance", "instance.reboot"),
        read("BatchGetInstances", "instance.get"),
        write("BatchCreateInstances", "instance.create"),
        free("BatchDeleteInstances", "instance.delete"),
        session("ExecInstance", "instance.exec"),
        watch("ReadInstanceLogs", "instance.logs"),
        read("GetInstanceStats", "instance.stats"),
    ),
    *service(
        "fifo.v1.SnapshotService",
        read("GetSnapshot", "snapshot.get"),
        read("ListSnapshots", "snapshot.list"),
        write("CreateSnapshot", "snapshot.create"),
        free("DeleteSnapshot", "snapshot.delete"),
        write("RollbackSnapshot", "snapshot.rollback"),
    ),
    *service(
        "fifo.v1.HypervisorService",
        read("GetHypervisor", "hypervisor.get"),
        read("ListHypervisors", "hypervisor.list"),
        write("UpdateHypervisor", "hypervisor.update"),
        write("CordonHypervisor", "hypervisor.cordon"),
        write("UncordonHypervisor", "hypervisor.cordon"),
        read("ProbeHypervisor", "hypervisor.probe"),
        write("AdoptForeignInstance", "foreign.adopt"),
        free("RemoveForeignInstance", "foreign.remove"),
    ),
    *service(
        "fifo.v1.ImageService",
        read("GetImage", "image.get"),
        read("ListImages", "image.list"),
        write("ImportImage", "image.import"),
        session("UploadImage", "image.import"),
        free("DeleteImage", "image.delete"),
        write("CreateImageFromInstance", "image.create"),
    ),
    *service(
        "fifo.v1.PackageService",
        read("GetPackage", "package.get"),
        read("ListPackages", "package.list"),
        write("CreatePackage", "package.create"),
        write("UpdatePackage", "package.update"),
        free("DeletePackage", "package.delete"),
    ),
    *service(
        "fifo.v1.NetworkService",
        read("GetNetwork", "network.get"),
        read("ListNetworks", "network.list"),
        write("CreateNetwork", "network.create"),
        write("UpdateNetwork", "network.update"),
        free("DeleteNetwork", "network.delete"),
        read("ListAddresses", "address.list"),
        write("ReserveAddress", "address.reserve"),
        free("ReleaseAddress", "address.release"),
    ),
    *service(
        "google.longrunning.Operations",
        read("GetOperation", "operation.get"),
        read("ListOperations", "operation.list"),
        free("CancelOperation", "operation.cancel"),
        free("DeleteOperation", "operation.delete"),
        read("WaitOperation", "operation.get")._replace(
            admission="waits", deadline_s=limits.WAIT_MOST_S + limits.READ_S
        ),
    ),
    *service(
        "fifo.v1.EventService",
        watch("Watch", "event.watch"),
        read("ListEvents", "event.list"),
    ),
    *service("fifo.v1.ConsoleService", session("Attach", "instance.console")),
    *service(
        "fifo.v1.SupervisionService",
        read("GetTree", "supervision.get"),
        watch("WatchTree", "supervision.get"),
    ),
    *service(
        "fifo.v1.AdminService",
        read("GetNodeInfo", "node.get"),
        free("ResetAdminToken", "local.token.reset"),
        read("GetStoreInfo", "store.get"),
        session("BackupStore", "store.backup", "read"),
        session("GetSupportBundle", "node.bundle", "read"),
    ),
    *service(
        "grpc.health.v1.Health",
        read("Check", "health.get"),
        read("List", "health.get"),
        watch("Watch", "health.get"),
    ),
    *service(
        "grpc.reflection.v1alpha.ServerReflection",
        watch("ServerReflectionInfo", "reflection.get"),
    ),
)
