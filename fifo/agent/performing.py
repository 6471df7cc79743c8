"""One call of the driver: made in a task of its own, and what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.model.errors import Cancelled, DeadlineExceeded, DriverFailed, FifoError, Unavailable
from supervisors import CallExit, CallTimeout, Crash, Future, SupervisorsError, within
from supervisors.task import this_task

if TYPE_CHECKING:
    from fifo.agent.orders import Order
    from fifo.hypervisors.driver import Driver


async def perform(driver: Driver, order: Order) -> Any:
    """Make the call in a task of its own; gives the error that is the caller's to handle."""
    order.task = this_task().ref
    if order.withdrawn:
        return _withdrawn(order)
    try:
        call = getattr(driver, order.verb)(*order.args, **(order.keywords or {}))
        return await within(order.deadline_s, call)
    except FifoError as error:
        return error
    except CallTimeout:
        return _too_late(order)


def _interrupted(order: Order, failed: SupervisorsError) -> FifoError:
    """Tell a driver's fault from a call that was ended with its surroundings."""
    if isinstance(failed, CallExit) and isinstance(failed.reason, Crash):
        return DriverFailed(f"{order.verb}: the driver crashed: {failed.reason}", order.subject)
    return Unavailable(f"{order.verb} was interrupted: {failed}", order.subject)


def _withdrawn(order: Order) -> Cancelled:
    return Cancelled("it was withdrawn", order.subject)


def _too_late(order: Order) -> FifoError:
    return DeadlineExceeded(
        f"{order.verb} was not done within {order.deadline_s:g} s", order.subject,
        "look whether it was done after all",
    )  # fmt: skip


def outcome(order: Order, result: Future[Any]) -> tuple[Any, FifoError | None]:
    """Give what a call that has ended gave, or its error; called by the driver's process."""
    try:
        value = result.result()
    except FifoError as failed:
        return None, failed
    except CallTimeout:
        return None, _too_late(order)
    except SupervisorsError as failed:
        return None, _withdrawn(order) if order.withdrawn else _interrupted(order, failed)
    return (None, value) if isinstance(value, FifoError) else (value, None)


def is_doubtful(error: FifoError) -> bool:
    """Tell whether what was ordered may have been done all the same."""
    return isinstance(error, (Unavailable, DeadlineExceeded))
