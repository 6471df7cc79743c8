"""OTP on Pykka: supervised processes, a million to a Python process.

A process is a `pykka.Actor`, its ref a `pykka.ActorRef`. See docs/supervisors.md for the guide.
"""

from __future__ import annotations

from supervisors.backoff import Backoff
from supervisors.breaker import CircuitBreaker
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
from supervisors.deadline import within
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.errors import (
    AlreadyStarted,
    CallExit,
    CallTimeout,
    ChildError,
    CircuitOpen,
    MailboxFull,
    NoNode,
    NotStarted,
    PortError,
    PortOverload,
    PortTimeout,
    SpecError,
    StartError,
    SupervisorsError,
    TaskOverload,
    WouldDeadlock,
)
from supervisors.future import Future, gather
from supervisors.gen_server import GenServer
from supervisors.hosts.asyncio import AsyncioHost
from supervisors.hosts.simulated import SimulatedHost
from supervisors.hosts.thread import ThreadHost
from supervisors.mailbox import DROP_NEW, DROP_OLD, REJECT
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
from supervisors.results import (
    IGNORE,
    TIMEOUT_MESSAGE,
    Continue,
    Hibernate,
    NoReply,
    Reply,
    Stop,
    Timeout,
)
from supervisors.state_machine import StateMachine
from supervisors.supervisor import Supervisor
from supervisors.task import TaskSupervisor, run_task, run_task_nolink, start_task, stream_tasks
from supervisors.watchdog import Watchdog

__all__ = [
    "ALL_SIGNIFICANT",
    "ANY_SIGNIFICANT",
    "BRUTAL_KILL",
    "DROP_NEW",
    "DROP_OLD",
    "IGNORE",
    "INFINITY",
    "NEVER",
    "ONE_FOR_ALL",
    "ONE_FOR_ONE",
    "PERMANENT",
    "REJECT",
    "REST_FOR_ONE",
    "SIMPLE_ONE_FOR_ONE",
    "TEMPORARY",
    "TIMEOUT_MESSAGE",
    "TRANSIENT",
    "AlreadyStarted",
    "AsyncioHost",
    "Backoff",
    "CallExit",
    "CallTimeout",
    "ChildError",
    "ChildSpec",
    "CircuitBreaker",
    "CircuitOpen",
    "Continue",
    "Crash",
    "Down",
    "DynamicSupervisor",
    "Exit",
    "Flags",
    "Future",
    "GenServer",
    "Hibernate",
    "MailboxFull",
    "NoNode",
    "NoReply",
    "Node",
    "NotStarted",
    "Pid",
    "PortError",
    "PortOverload",
    "PortTimeout",
    "Process",
    "Ref",
    "Reply",
    "Shutdown",
    "SimulatedHost",
    "SpecError",
    "StartError",
    "StateMachine",
    "Stop",
    "Supervisor",
    "SupervisorsError",
    "TaskOverload",
    "TaskSupervisor",
    "ThreadHost",
    "Timeout",
    "Via",
    "Watchdog",
    "WouldDeadlock",
    "check_childspecs",
    "count_children",
    "delete_child",
    "gather",
    "get_callback_module",
    "get_childspec",
    "replace_specs",
    "restart_child",
    "run_task",
    "run_task_nolink",
    "start_child",
    "start_task",
    "stream_tasks",
    "terminate_child",
    "which_children",
    "within",
]
