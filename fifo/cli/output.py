"""Results as people and programs read them: tables, JSON, YAML, or names alone."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.cli.text import age, cut, safe, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GAP: Final = 2
"""Blanks between columns."""
OPERATION: Final = "google.longrunning.Operation"
PACKED: Final = (
    "google.rpc.error_details_pb2",
    "fifo.v1.image_pb2",
    "fifo.v1.instance_pb2",
    "fifo.v1.instance_service_pb2",
    "fifo.v1.operation_pb2",
    "fifo.v1.snapshot_pb2",
)
"""Where the messages are that an operation ends with: JSON can be made of known ones alone."""
LEAST: Final = 4
"""No column is cut below this."""


class Column(NamedTuple):
    """A column of a table; `wide` ones are shown by `-o wide` alone, `right` ones are numbers.

    `counted` ones are counted when they are asked for: no change tells of them, so that a table of
    changes leaves them out.
    """

    title: str
    value: Callable[[Any], str]
    wide: bool = False
    right: bool = False
    counted: bool = False


def last(name: str) -> str:
    """Give the id at the end of a name."""
    return name.rpartition("/")[2]


def since(timestamp: Any) -> str:
    """Say how long ago a time was; nothing for none."""
    return age(time.time() - timestamp.seconds) if timestamp.seconds else ""


def enum(message: Any, field: str) -> str:
    """Give an enum's word in lower case; nothing for the unspecified one."""
    descriptor = message.DESCRIPTOR.fields_by_name[field]
    word = descriptor.enum_type.values_by_number[getattr(message, field)].name
    return "" if word.endswith("UNSPECIFIED") else word.lower().replace("_", "-")


def show(output: str, messages: Sequence[Any], columns: Sequence[Column]) -> None:
    """Print a list."""
    if output == "json":
        print(json.dumps([as_dict(message) for message in messages], indent=2))
    elif output == "yaml":
        _print_yaml([as_dict(message) for message in messages])
    elif output == "name":
        for message in messages:
            print(safe(message.name))
    else:
        wanted = [column for column in columns if output == "wide" or not column.wide]
        rows = [[safe(column.value(message)) for column in wanted] for message in messages]
        print_table(wanted, rows, cut_to_fit=output != "wide")


def show_one(output: str, message: Any, columns: Sequence[Column]) -> None:
    """Print one resource: every column on a line of its own for people."""
    if output == "json":
        print(json.dumps(as_dict(message), indent=2))
    elif output == "yaml":
        _print_yaml(as_dict(message))
    elif output == "name":
        print(safe(message.name))
    else:
        longest = max(len(column.title) for column in columns)
        for column in columns:
            value = safe(column.value(message))
            if value:
                print(f"{column.title.lower():<{longest}}  {value}")


def show_value(output: str, value: Any, *, one_of_many: bool = False) -> None:
    """Print what is no resource, a tree of facts: JSON or YAML, or YAML's form for people.

    `one_of_many` has more follow or come before: JSON is on one line then, YAML a document.
    """
    if output == "json":
        print(json.dumps(value, indent=None if one_of_many else 2))
    else:
        _print_yaml(value, explicit_start=one_of_many)
    sys.stdout.flush()


def show_done(output: str, subject: str, words: str, facts: dict[str, Any]) -> None:
    """Print what a command did that gives no resource: a sentence for people, facts for programs.

    `subject` is what it did it to, a file for instance; it is all that `-o name` prints.
    """
    if output in {"json", "yaml"}:
        show_value(output, facts)
    elif output == "name":
        print(safe(subject))
    else:
        print(f"{safe(subject)}: {safe(words)}")


def as_dict(message: Any) -> Any:
    """Make JSON's form of a message, with the names of its fields as they are in the protos."""
    from google.protobuf import json_format

    if message.DESCRIPTOR.full_name == OPERATION:
        for module in PACKED:
            importlib.import_module(module)
    # What MessageToDict makes of a packed message is a kind of dict that YAML's dumper refuses.
    return json.loads(
        json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
    )


def _print_yaml(value: Any, *, explicit_start: bool = False) -> None:
    import yaml

    yaml.safe_dump(
        value,
        sys.stdout,
        sort_keys=False,
        default_flow_style=False,
        explicit_start=explicit_start,
    )


def print_table(columns: Sequence[Column], rows: list[list[str]], *, cut_to_fit: bool) -> None:
    """Print rows under titles; on a terminal the widest column gives way to its width."""
    for text in table_lines(columns, rows, cut_to_fit=cut_to_fit):
        print(text)


def table_lines(
    columns: Sequence[Column], rows: list[list[str]], *, cut_to_fit: bool
) -> Iterator[str]:
    """Give the lines of a table, the titles first."""
    titles = [column.title for column in columns]
    widths = [
        max([len(title), *(width(row[index]) for row in rows)])
        for index, title in enumerate(titles)
    ]
    if cut_to_fit:
        widths = fit(widths)
    for row in [titles, *rows]:
        yield line(columns, widths, row)


def fit(widths: list[int], kept: int = 1) -> list[int]:
    """Make the widest columns narrower until a terminal has room; anything else has room.

    The first `kept` give way last: a part of a name is of no use to the next command.
    """
    widths = list(widths)
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns
        first = kept if len(widths) > kept else 0
        while sum(widths) + GAP * (len(widths) - 1) > room and max(widths) > LEAST:
            first = first if max(widths[first:]) > LEAST else 0
            widths[widths.index(max(widths[first:]), first)] -= 1
    return widths


def line(columns: Sequence[Column], widths: list[int], row: list[str]) -> str:
    """Lay out one row."""
    cells = []
    for column, cells_wide, text in zip(columns, widths, row, strict=True):
        shown = cut(text, cells_wide)
        blanks = " " * (cells_wide - width(shown))
        cells.append(blanks + shown if column.right else shown + blanks)
    return (" " * GAP).join(cells).rstrip()
