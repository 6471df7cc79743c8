"""InstanceService: creating, changing and deleting one instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf import empty_pb2

from fifo.api import accepting, masks, references, second_look, trial
from fifo.api.accepting import Work
from fifo.api.drafts import moves, payloads
from fifo.api.drafts.found import Drafting
from fifo.api.drafts.instances import Identified, check_alone, draft, one_memory, redraft
from fifo.api.faults import Faults
from fifo.api.resources import instances
from fifo.api.resources.values import etag
from fifo.api.resources.view import hypervisor_name
from fifo.model import names
from fifo.model.errors import InvalidInput, Violation, WrongState
from fifo.model.instance_states import admit
from fifo.model.vmadm.in_vain import in_vain
from fifo.workflows import change, create

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.resources.operations import Message
    from fifo.model.instance import InstanceSpec
    from fifo.model.operation import Operation
    from fifo.v1 import instance_service_pb2


class InstanceChanges:
    """Create, Update, Delete, Start, Stop and Reboot."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def create_instance(
        self, request: instance_service_pb2.CreateInstanceRequest, call: Call
    ) -> Message:
        """Have an instance created."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call, may_idle=False)) is not None:
            return first
        faults = Faults()
        with faults:
            check_parent(request.parent)
        with faults:
            spec = new_spec(backend, request)
        faults.refuse(request.parent)
        return await self._create(spec, call, only_check=request.validate_only)

    async def _create(self, spec: InstanceSpec, call: Call, *, only_check: bool) -> Message:
        backend = self._backend
        name = names.instance_name(spec.id, spec.org)
        call.resource = name
        if (error := create.refusal(backend.catalog, spec)) is not None:
            raise error
        work = Work("create_instance", name, (spec.uid,), msgspec.to_builtins(spec), org=spec.org)
        if not only_check:
            return await accepting.submit(backend, call, accepting.prepare(backend, call, work))
        placed = trial.ledger(backend.catalog, backend.now()).place(spec, "")
        if placed.error is not None:
            raise placed.error
        made = instances.message(backend.catalog, as_if(spec))
        lacks = instances.lacking(backend.catalog, placed.explanation.host)
        vain = instances.unhonoured(spec, lacks)
        work = work._replace(unhonoured=tuple(sorted(vain)))
        return accepting.only_validated(backend, call, work, made, explanation=placed.explanation)

    async def update_instance(
        self, request: instance_service_pb2.UpdateInstanceRequest, call: Call
    ) -> Message:
        """Have an instance changed; with allow_missing created if it is missing."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        given = request.instance
        entry = backend.references.instance_or_none(given.name, "instance.name")
        if entry is None and request.allow_missing:
            parsed = names.parse(given.name, names.INSTANCES, "instance.name")
            spec = spec_of(backend, given, parsed.org, parsed.id, "instance.")
            return await self._create(spec, call, only_check=request.validate_only)
        if entry is None:
            self._refuse_alone(request)
            raise references.absent(given.name)
        before = entry.record
        accepting.check_etag(
            given.etag, etag(entry.raw), given.name, lambda: self._refuse_alone(request)
        )
        present = instances.settable(backend.catalog, entry)
        claim = backend.catalog.claims.record(before.uid)
        if claim is not None:
            present.hypervisor = hypervisor_name(backend.catalog, claim.host)
        merged, wrong = masks.merged(present, given, request.update_mask, "instance")
        if not before.is_vm:
            one_memory(merged, request.update_mask.paths)
        drafting = Drafting(backend.catalog, backend.references, "instance.")
        drafting.violations += wrong
        spec = redraft(drafting, before, present, merged)
        refuse(drafting, given.name)
        admit("update", state(backend, before), given.name)
        work = Work("update_instance", given.name, (before.uid,), msgspec.to_builtins(spec))
        if msgspec.structs.replace(spec, generation=before.generation) == before:
            return await accepting.done_already(backend, call, work._replace(input=None))
        if claim is not None:
            error = trial.refused(backend.catalog, backend.now(), spec, claim)
            if error is not None:
                raise error
        if not request.validate_only:
            return await accepting.submit(backend, call, accepting.prepare(backend, call, work))
        made = instances.message(backend.catalog, as_if(spec))
        work = work._replace(unhonoured=in_vain(spec))
        return accepting.only_validated(backend, call, work, made)

    async def check_update_instance(
        self, request: instance_service_pb2.UpdateInstanceRequest, call: Call
    ) -> None:
        """Raise InvalidInput with all that is wrong with a change, whatever instance it is of."""
        # A name that is none was left out.
        if request.instance.name:
            await self.update_instance(request, call)
        else:
            self._refuse_alone(request)

    def _refuse_alone(self, request: instance_service_pb2.UpdateInstanceRequest) -> None:
        """Raise InvalidInput for what is wrong with a change of whichever instance."""
        given, backend = request.instance, self._backend
        merged, _ = masks.merged(instances.Message(), given, request.update_mask, "instance")
        drafting = Drafting(backend.catalog, backend.references, "instance.")
        check_alone(drafting, merged)
        refuse(drafting, given.name)

    async def delete_instance(
        self, request: instance_service_pb2.DeleteInstanceRequest, call: Call
    ) -> Message:
        """Have an instance deleted; one that is being deleted answers with that operation."""
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        entry = backend.references.instance_or_none(request.name)
        if entry is None and request.allow_missing:
            work = Work("delete_instance", request.name, ())
            return await accepting.done_already(backend, call, work)
        entry = backend.references.instance(request.name)
        accepting.check_etag(request.etag, etag(entry.raw), request.name)
        check_deletion(backend, entry.record, request.name, force=request.force)
        work = Work("delete_instance", request.name, (entry.record.uid,), {})
        if request.validate_only:
            return accepting.only_validated(backend, call, work, empty_pb2.Empty())
        running = _running(backend, entry.record.uid, "delete_instance")
        if running is not None:
            return await accepting.under_way(backend, call, running)
        return await accepting.submit(backend, call, accepting.prepare(backend, call, work))

    async def start_instance(
        self, request: instance_service_pb2.StartInstanceRequest, call: Call
    ) -> Message:
        """Have an instance started; one that runs already is no error."""
        return await self._move(request, call, "start", None)

    async def stop_instance(
        self, request: instance_service_pb2.StopInstanceRequest, call: Call
    ) -> Message:
        """Have an instance stopped; one that is down already is no error."""
        return await self._move(request, call, "stop", moves.patience_of(request))

    async def reboot_instance(
        self, request: instance_service_pb2.RebootInstanceRequest, call: Call
    ) -> Message:
        """Have an instance stopped and started again."""
        return await self._move(request, call, "reboot", moves.patience_of(request))

    async def _move(self, request: Any, call: Call, verb: str, patience_s: float | None) -> Message:
        backend = self._backend
        if (first := await accepting.repeated(backend, call)) is not None:
            return first
        entry = backend.references.instance(request.name)
        accepting.check_etag(request.etag, etag(entry.raw), request.name)
        before = entry.record
        if before.deleting:
            raise WrongState("it is being deleted", request.name, "create another")
        status = backend.catalog.statuses.record(before.uid)
        hurried = patience_s == 0.0 and moves.is_under_way(before, status, verb)
        has_to = hurried or admit(verb, state(backend, before), request.name)
        spec = moves.moved(before, verb, patience_s, hurried=hurried)
        work = Work(
            f"{verb}_instance", request.name, (before.uid,), msgspec.to_builtins(spec),
            more_s=change.more_time_s(spec),
        )  # fmt: skip
        forced = hurried and before.patience_s == 0.0
        needless = forced or (not has_to and spec.wanted == before.wanted)
        if needless and not request.validate_only:
            running = _running(backend, before.uid, work.kind)
            if running is not None:
                return await accepting.under_way(backend, call, running)
        if needless and not hurried:
            return await accepting.done_already(backend, call, work._replace(input=None))
        if request.validate_only:
            return accepting.only_validated(backend, call, work, self._message(before.uid))
        return await accepting.submit(backend, call, accepting.prepare(backend, call, work))

    def _message(self, uid: str) -> instances.Message | None:
        parts = instances.capture(self._backend.catalog, uid)
        return None if parts is None else instances.message(self._backend.catalog, parts)


def _running(backend: Backend, uid: str, kind: str) -> Operation | None:
    """Find an operation of a kind on an instance that has not ended; batches count as such."""
    found = (backend.catalog.operations.record(own) for own in backend.catalog.busy.get(uid, ()))
    return next((own for own in found if own is not None and own.kind.startswith(kind)), None)


# -- what batches do too --------------------------------------------------------------------------


def check_parent(parent: str) -> None:
    """Raise InvalidInput for a parent in which no instance can be made."""
    org = names.parse_org(parent)
    if org == "-":
        raise InvalidInput("", (Violation("parent", "one organisation: orgs/default"),))
    if org != names.DEFAULT_ORG:
        raise InvalidInput("", (Violation("parent", "orgs/default, the only one yet"),))


def new_spec(
    backend: Backend, request: instance_service_pb2.CreateInstanceRequest, prefix: str = ""
) -> InstanceSpec:
    """Make the spec of what a request gives; raises InvalidInput with all that is wrong in it."""
    org, own = names.DEFAULT_ORG, request.instance_id
    match request.WhichOneof("source"):
        case "instance":
            return spec_of(backend, request.instance, org, own, f"{prefix}instance.")
        case "vmadm_json":
            field = f"{prefix}vmadm_json"
            payload, unhonoured, wrong = payloads.message_of(request.vmadm_json, field)
            faults = Faults()
            with faults:
                spec = spec_of(backend, payload, org, own, f"{field}.")
            if wrong:
                told = [path.removesuffix("_uuid") for path, _ in wrong]
                told += [path for path, _ in wrong]
                faults.violations = [*wrong, *second_look.unheard(faults.violations, told)]
            faults.refuse(own)
            return msgspec.structs.replace(spec, unhonoured=unhonoured)
    wanted = "an instance, or a vmadm payload"
    raise InvalidInput("", (Violation(f"{prefix}instance", wanted),))


def spec_of(
    backend: Backend, given: instances.Message, org: str, instance_id: str, prefix: str
) -> InstanceSpec:
    """Make a spec of a message; raises InvalidInput with all that is wrong."""
    uid = given.uid or names.uid_from_id(instance_id) or backend.new_uid()
    own = names.id_from_uid(uid) if not instance_id or names.is_uid(instance_id) else instance_id
    drafting = Drafting(backend.catalog, backend.references, prefix)
    spec = draft(drafting, given, Identified(uid, own, org, backend.now()))
    refuse(drafting, names.instance_name(own, org))
    return spec


def refuse(drafting: Drafting, name: str) -> None:
    """Raise InvalidInput if a draft has violations."""
    if drafting.violations:
        raise InvalidInput(name, tuple(drafting.violations))


def check_deletion(backend: Backend, spec: InstanceSpec, name: str, *, force: bool) -> None:
    """Raise WrongState for an instance that is protected, or has snapshots without force."""
    if spec.deletion_protection:
        raise WrongState(
            "it is protected from deletion",
            name,
            "clear deletion_protection first",
            reason="DELETION_PROTECTION",
        )
    status = backend.catalog.statuses.record(spec.uid)
    count = len(status.snapshots) if status is not None else 0
    if count and not force:
        raise WrongState(
            f"it has {count} snapshots",
            name,
            "delete them first, or use force to delete them with it",
            reason="HAS_SNAPSHOTS",
        )


def state(backend: Backend, spec: InstanceSpec) -> str:
    """Give the state of an instance as the table of states has it."""
    status = backend.catalog.statuses.record(spec.uid)
    return "provisioning" if status is None else status.state


def as_if(spec: InstanceSpec) -> instances.Parts:
    """Give a spec as if it were stored, for who asks what would be."""
    return instances.Parts(accepting.as_if(spec), None, None, cut_off=False)
