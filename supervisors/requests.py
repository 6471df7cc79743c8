"""What one may ask of a supervisor, from any process or thread (OTP: supervisor).

Each function gives a future: `await` it in a handler, `.get()` it elsewhere. As in OTP they wait
without limit. A refusal raises ChildError or SpecError with OTP's term in `reason`; a supervisor
that is dead raises CallExit with `noproc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors.process import Process
from supervisors.ref import Ref

if TYPE_CHECKING:
    from supervisors.child import ChildSpec
    from supervisors.future import Future


def _ask(supervisor: Any, *message: Any) -> Future[Any]:
    return _address(supervisor).call(message, None)


def _address(supervisor: Any) -> Ref[Any]:
    if isinstance(supervisor, Ref):
        return supervisor
    return Process.node_here().address(supervisor)


def start_child(supervisor: Any, *what: Any) -> Future[Any]:
    """Start a child: a spec for a Supervisor, further start arguments for a DynamicSupervisor.

    The value is its ref, (ref, info) if its start gave info, or None if it was ignored. Refused
    with `("already_started", ref)`, "already_present" or the reason of the failed start.
    """
    if not isinstance(supervisor, Ref):
        supervisor = _address(supervisor)
    return supervisor.call(("start_child", *what), None)  # type: ignore[no-any-return]


def terminate_child(supervisor: Any, child: Any) -> Future[None]:
    """Stop a child by its id, under a DynamicSupervisor by its ref; refused with "not_found"."""
    return _ask(supervisor, "terminate_child", child)


def restart_child(supervisor: Any, child_id: Any) -> Future[Any]:
    """Start a child that is down.

    Refused with "running", "restarting", "not_found" or the reason of the failed start.
    """
    return _ask(supervisor, "restart_child", child_id)


def delete_child(supervisor: Any, child_id: Any) -> Future[None]:
    """Forget a child that is down; refused with "running", "restarting" or "not_found"."""
    return _ask(supervisor, "delete_child", child_id)


def which_children(supervisor: Any) -> Future[list[tuple[Any, Any, str, Any]]]:
    """List (id, ref or None or a state name, type, modules), the newest first."""
    return _ask(supervisor, "which_children")


def count_children(supervisor: Any) -> Future[dict[str, int]]:
    """Count specs, active children, supervisors and workers."""
    return _ask(supervisor, "count_children")


def get_childspec(supervisor: Any, child: Any) -> Future[ChildSpec]:
    """Give a child's full spec by its id or its ref; refused with "not_found"."""
    return _ask(supervisor, "get_childspec", child)


def get_callback_module(supervisor: Any) -> Future[str]:
    """Name the class whose init gave the specs."""
    return _ask(supervisor, "get_callback_module")


def replace_specs(supervisor: Any, flags: Any, specs: Any) -> Future[None]:
    """Give a running supervisor new flags and specs (OTP: code_change of a supervisor)."""
    return _ask(supervisor, "replace_specs", flags, specs)
