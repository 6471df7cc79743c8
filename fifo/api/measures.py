"""What the door counts of each method, as plain integers: telemetry renders them at a scrape.

Names and labels are in `fifo.telemetry.metrics`, those of the go-grpc middleware.
"""

from __future__ import annotations

from fifo.telemetry.latency import Latency


class MethodMeasures:
    """The counts of one method; on the node's loop."""

    __slots__ = ("codes", "latency", "method", "received", "sent", "service", "started")

    def __init__(self, service: str, method: str) -> None:
        self.service = service
        self.method = method
        self.started = 0
        self.received = 0
        self.sent = 0
        self.codes: dict[str, int] = {}
        self.latency = Latency()

    def handled(self, code: str, seconds: float) -> None:
        """Count the end of a call."""
        codes = self.codes
        codes[code] = codes.get(code, 0) + 1
        self.latency.observe(seconds)
