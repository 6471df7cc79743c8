"""Resources that change, as they are told one by one: rows of one table, or a value a line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from fifo.cli.output import Column, as_dict, fit, line
from fifo.cli.text import safe, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Rows:
    """Prints changes as `--watch` tells them; titles stand once, columns only ever grow."""

    def __init__(self, output: str, columns: Sequence[Column]) -> None:
        self._output = output
        self._columns = (
            Column("CHANGE", lambda _: ""),
            *(
                column
                for column in columns
                if (output == "wide" or not column.wide) and not column.counted
            ),
        )
        self._widths: list[int] = []

    def show(self, changes: Iterable[tuple[str, Any]]) -> None:
        """Print some changes, each a word and the resource as it is now."""
        if self._output in {"table", "wide"}:
            self._show_table(list(changes))
        else:
            for change, resource in changes:
                self._show_one(change, resource)
        sys.stdout.flush()

    def _show_table(self, changes: list[tuple[str, Any]]) -> None:
        rows = [
            [change, *(safe(column.value(resource)) for column in self._columns[1:])]
            for change, resource in changes
        ]
        titles = [column.title for column in self._columns]
        first = not self._widths
        known = self._widths or [len("current"), *map(len, titles[1:])]
        self._widths = [
            max([known[index], *(width(row[index]) for row in rows)])
            for index in range(len(titles))
        ]
        widths = fit(self._widths, kept=2) if self._output != "wide" else self._widths
        for row in [titles, *rows] if first else rows:
            print(line(self._columns, widths, row))

    def _show_one(self, change: str, resource: Any) -> None:
        if self._output == "name":
            print(safe(resource.name))
        elif self._output == "json":
            print(json.dumps({"change": change, "resource": as_dict(resource)}))
        else:
            import yaml

            value = {"change": change, "resource": as_dict(resource)}
            yaml.safe_dump(value, sys.stdout, sort_keys=False, explicit_start=True)
