"""OTP on Pykka: supervised processes, a million to a Python process.

A process is a `pykka.Actor`, its ref a `pykka.ActorRef`. See docs/supervisors.md for the guide.
"""

from __future__ import annotations

from supervisors.backoff import Backoff
from supervisors.child import (
    ALL_SIGNIFICANT,
    ANY_SIGNIFICANT,
    BRUTAL_KILL,
    INFINITY,
    NEVER,
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    PERMANENT,
    REST_FOR_ONE,
    SIMPLE_ONE_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    ChildSpec,
    Flags,
    check_childspecs,
)
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.future import Future, gather
from supervisors.gen_server import GenServer
from supervisors.hosts.asyncio import AsyncioHost
from supervisors.hosts.simulated import SimulatedHost
from supervisors.hosts.thread import ThreadHost
from supervisors.messages import Down, Exit
from supervisors.node import Node
from supervisors.pid import Pid
from supervisors.process import Process
from supervisors.reasons import Crash, Shutdown
from supervisors.ref import Ref
from supervisors.registry import Via
from supervisors.requests import (
    count_children,
    delete_child,
    get_callback_module,
    get_childspec,
    replace_specs,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from supervisors.results import IGNORE, Continue, Hibernate, NoReply, Reply, Stop, Timeout
from supervisors.supervisor import Supervisor

__all__ = [
    "ALL_SIGNIFICANT",
    "ANY_SIGNIFICANT",
    "BRUTAL_KILL",
    "IGNORE",
    "INFINITY",
    "NEVER",
    "ONE_FOR_ALL",
    "ONE_FOR_ONE",
    "PERMANENT",
    "REST_FOR_ONE",
    "SIMPLE_ONE_FOR_ONE",
    "TEMPORARY",
    "TRANSIENT",
    "AsyncioHost",
    "Backoff",
    "ChildSpec",
    "Continue",
    "Crash",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "Flags",
    "Future",
    "GenServer",
    "Hibernate",
    "NoReply",
    "Node",
    "Pid",
    "Process",
    "Ref",
    "Reply",
    "Shutdown",
    "SimulatedHost",
    "Stop",
    "Supervisor",
    "ThreadHost",
    "Timeout",
    "Via",
    "check_childspecs",
    "count_children",
    "delete_child",
    "gather",
    "get_callback_module",
    "get_childspec",
    "replace_specs",
    "restart_child",
    "start_child",
    "terminate_child",
    "which_children",
]
