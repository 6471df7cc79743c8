"""The text that Prometheus reads, written line by line: a hundredth of the cost of objects.

A `Page` is filled metric by metric; each may stand in it once, with all of its series together, as
the format wants it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.telemetry.metrics import BY_NAME, LATENCY_BUCKETS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fifo.telemetry.latency import Latency

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def escape(text: str) -> str:
    """Make a label's value safe (exposition format 0.0.4)."""
    return text.translate(_ESCAPES)


class Page:
    """One answer to one scrape; built and dropped on the thread that writes it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._written: set[str] = set()

    def add(self, name: str, series: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Write a metric with its series: label values in the table's order, and the number."""
        labels = self._head(name)
        for values, number in series:
            pairs = ",".join(
                f'{label}="{escape(value)}"' for label, value in zip(labels, values, strict=True)
            )
            self._parts.append(f"{name}{{{pairs}}} {number:.17g}" if pairs else f"{name} {number}")

    def add_latencies(self, name: str, series: Mapping[tuple[str, str], Latency]) -> None:
        """Write a histogram's series."""
        labels = self._head(name)
        for values, latency in series.items():
            pairs = "".join(
                f'{label}="{escape(value)}",' for label, value in zip(labels, values, strict=True)
            )
            total = 0
            for bound, count in zip(
                (*map(str, LATENCY_BUCKETS_S), "+Inf"), latency.counts, strict=True
            ):
                total += count
                self._parts.append(f'{name}_bucket{{{pairs}le="{bound}"}} {total}')
            self._parts.append(f"{name}_sum{{{pairs[:-1]}}} {latency.sum_s}")
            self._parts.append(f"{name}_count{{{pairs[:-1]}}} {total}")

    def add_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a metric whose lines were prepared when its numbers came."""
        self._head(name)
        self._parts.extend(lines)

    def _head(self, name: str) -> tuple[str, ...]:
        metric = BY_NAME[name]
        assert name not in self._written, f"{name} stands on the page already"
        self._written.add(name)
        self._parts.append(f"# HELP {name} {metric.told}")
        self._parts.append(f"# TYPE {name} {metric.kind}")
        return metric.labels

    def text(self) -> str:
        """Give the page."""
        return "\n".join([*self._parts, ""])
