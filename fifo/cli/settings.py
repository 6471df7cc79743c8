"""A node's settings: one table of names, defaults and meanings, read from a TOML file.

The configuration reference (`docs/configuration.md`) is written from this table, and a test keeps
the two alike. Units stand last in the names.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_type_hints

from fifo.hypervisors.linux.settings import PREFIX, UID_BASE, UIDS, ImageLimits
from fifo.model.errors import InvalidInput, NotReady, Violation

IMAGE_LIMITS: Final = ImageLimits()


def _setting(default: Any, told: str) -> Any:
    return field(default=default, metadata={"told": told})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a node is told; every value has a default that works on a laptop."""

    data_dir: Path = _setting(
        Path("/var/lib/fifo"),
        "Where the node keeps its store, certificates, tokens and logs. One node at a time.",
    )
    run_dir: Path = _setting(
        Path("/run/fifo"),
        "Where the unix sockets are, and what need not outlive a reboot. One node at a time.",
    )
    name: str = _setting(
        "",
        "The node's name, in metrics, logs and its certificate, and where `/discovery` says that"
        " its metrics are if it listens on all addresses. Empty: the host's name.",
    )
    listen: str = _setting(
        "127.0.0.1:7443",
        "Address and port of the gRPC API, over TLS. Port 0 takes a free one.",
    )
    metrics_listen: str = _setting(
        "127.0.0.1:9443",
        "Address and port of /metrics and /discovery, without TLS. Port 0 takes a free one.",
    )
    driver: str = _setting(
        "auto",
        "`linux` for real zones and VMs, `simulated` for hosts in memory, `auto` for the first"
        " that this machine can do. A `data_dir` that real ones used gets no simulated ones.",
    )
    simulated_hosts: int = _setting(1, "How many hosts the simulated driver has.")
    simulated_seed: int = _setting(1, "From which seed simulated hosts draw their latencies.")
    simulated_latency_s: float = _setting(
        0.0, "Longest time a verb of a simulated host takes; each takes half of that to all of it."
    )
    storage_dir: Path | None = _setting(
        None,
        "Where images and instances are kept, best a btrfs file system. Empty: in `data_dir`.",
    )
    prefix: str = _setting(
        "fifo",
        "What every bridge, interface and control group of this node begins with. One node at a"
        " time, if it has real zones and VMs.",
    )
    nic_tags: tuple[str, ...] = _setting(
        ("lan",),
        "Nic tags that this host carries. `tag=bridge` uses an operator's own bridge, a bare tag"
        " gets a bridge of FiFo's with the network's gateway address on the host.",
    )
    images_from_private_addresses: bool = _setting(
        default=False,
        told="Whether images may be fetched from loopback, link-local and private addresses; from"
        " loopback only what is named itself: no server elsewhere may redirect there. A registry"
        " at one need not prove who it is (TLS); one at a public address always has to.",
    )
    runtime: str = _setting(
        "auto", "`runc` or `crun` for zones, `auto` for the first that has run one on trial."
    )
    uid_base: int = _setting(
        UID_BASE,
        "The host's user that is root in zones; 65,536 users from it on are theirs, and some more"
        " VMs'. 0: a zone's root is the host's. A `storage_dir` keeps the one it began with.",
    )
    image_download_bytes: int = _setting(
        IMAGE_LIMITS.download_bytes, "What an image's file may have at most."
    )
    image_unpacked_bytes: int = _setting(
        IMAGE_LIMITS.unpacked_bytes, "What an image may unpack to at most."
    )
    image_entries: int = _setting(
        IMAGE_LIMITS.entries, "How many files and directories an image may unpack to at most."
    )
    import_dirs: tuple[Path, ...] = _setting(
        (),
        "Directories below which image files may be imported from by path. Empty: none may.",
    )
    sample_s: float = _setting(10.0, "How often instances are measured.")
    log_level: str = _setting("info", "`debug`, `info`, `warning` or `error`.")
    log_file_bytes: int = _setting(
        10_000_000, "Size at which a log file is put aside; five are kept."
    )
    drain_s: float = _setting(10.0, "How long a node that stops lets running calls finish.")


LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})
DRIVERS = frozenset({"auto", "linux", "simulated"})
RUNTIMES = frozenset({"auto", "runc", "crun"})
MOST: Final = 2**53
"""Where numbers of bytes and files end: JSON's, which a support bundle has."""
MOST_UID: Final = 2**31
"""Users of the host beyond it are negative numbers to some programs."""
HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)(?:(?:^|\.)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)
"""RFC 1123, as a certificate has to have it."""
NIC_TAG: Final = re.compile(r"[A-Za-z0-9_/-]{1,31}(=[A-Za-z0-9][A-Za-z0-9_.-]{0,14})?")
"""vmadm's grammar of a tag, and of an interface what iproute2 and nftables both take unquoted."""


def load(file: Path | None, overrides: dict[str, Any]) -> Settings:
    """Read settings from a file, with the command line's on top.

    Raises InvalidInput with everything that is wrong, NotReady for a file that cannot be read.
    """
    wanted: dict[str, Any] = {}
    subject = "settings"
    if file is not None:
        subject = str(file)
        try:
            wanted = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise NotReady(f"it cannot be read: {error.strerror}", subject, "check it") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            wrong = (Violation("file", f"TOML: {error}"),)
            raise InvalidInput(subject, wrong) from error
    wanted |= {name: value for name, value in overrides.items() if value is not None}
    return parse(wanted, subject)


def parse(wanted: dict[str, Any], subject: str = "settings") -> Settings:
    """Check raw values and make settings of them; raises InvalidInput with all violations."""
    kinds = get_type_hints(Settings)
    wrong: list[Violation] = []
    values: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in kinds:
            wrong.append(Violation(name, f"one of {', '.join(kinds)}"))
            continue
        try:
            values[name] = _convert(kinds[name], value)
        except (TypeError, ValueError, OverflowError):
            wrong.append(Violation(name, f"{_kind_text(kinds[name])}, not {value!r}"))
    settings = Settings(**values)
    wrong += _violations(settings)
    if wrong:
        raise InvalidInput(subject, tuple(wrong))
    return settings


def _convert(kind: Any, value: Any) -> Any:
    if kind is Path or kind == Path | None:
        return None if value == "" and kind is not Path else _path(value)
    if kind == tuple[str, ...]:
        return tuple(_text(item) for item in value) if not isinstance(value, str) else (value,)
    if kind == tuple[Path, ...]:
        items = (value,) if isinstance(value, (str, Path)) else value
        return tuple(_path(item) for item in items)
    if kind is bool:
        if not isinstance(value, bool):
            raise TypeError
        return value
    if kind is str:
        return _text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    if kind is int and isinstance(value, float):
        raise ValueError("what is behind the point would be lost in silence")
    return kind(value)


def _path(value: Any) -> Path:
    text = _text(value)
    if not text:
        raise ValueError("empty: pathlib would take it for the current directory")
    return Path(text).absolute()


def _text(value: Any) -> str:
    if not isinstance(value, (str, Path)):
        raise TypeError
    return str(value)


def _kind_text(kind: Any) -> str:
    if kind is Path or kind == Path | None:
        return "a path"
    names = {bool: "true or false", int: "a whole number", float: "a number of seconds"}
    lists = {tuple[str, ...]: "a list of texts", tuple[Path, ...]: "a list of paths"}
    return names.get(kind) or lists.get(kind, "a text")


def _violations(settings: Settings) -> list[Violation]:
    checks: dict[str, tuple[object, str]] = {
        "driver": (settings.driver in DRIVERS, "auto, linux or simulated"),
        "log_level": (settings.log_level in LOG_LEVELS, "debug, info, warning or error"),
        "simulated_hosts": (1 <= settings.simulated_hosts <= 10_000, "1 to 10,000"),
        "simulated_latency_s": (0 <= settings.simulated_latency_s <= 60, "0 to 60"),
        "sample_s": (0.1 <= settings.sample_s <= 3_600, "0.1 to 3,600"),
        "log_file_bytes": (10_000 <= settings.log_file_bytes <= MOST, f"10,000 to {MOST:,}"),
        "drain_s": (0 <= settings.drain_s <= 600, "0 to 600"),
        "listen": (_is_address(settings.listen), "an address and a port, like 127.0.0.1:7443"),
        "metrics_listen": (_is_address(settings.metrics_listen), "an address and a port"),
        "name": (
            not settings.name or HOST_NAME.fullmatch(settings.name),
            "a host name like node-1.example: letters, digits, - and .",
        ),
        "prefix": (
            PREFIX.fullmatch(settings.prefix),
            "2 to 5 small letters and digits, a letter first",
        ),
        "nic_tags": (_are_nic_tags(settings.nic_tags), "each tag once, like lan or lan=br0"),
        "runtime": (settings.runtime in RUNTIMES, "auto, runc or crun"),
        "uid_base": (
            settings.uid_base == 0 or UIDS <= settings.uid_base < MOST_UID,
            f"0, or {UIDS:,} to {MOST_UID - 1:,}",
        ),
        **{
            name: (1 <= getattr(settings, name) <= MOST, f"1 to {MOST:,}")
            for name in ("image_download_bytes", "image_unpacked_bytes", "image_entries")
        },
    }
    return [Violation(name, told) for name, (right, told) in checks.items() if not right]


def _are_nic_tags(texts: tuple[str, ...]) -> bool:
    tags = {text.partition("=")[0] for text in texts}
    return len(tags) == len(texts) and all(NIC_TAG.fullmatch(text) for text in texts)


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    plain = host.removeprefix("[").removesuffix("]")
    # Without brackets nobody can tell where an IPv6 address ends.
    told = bool(plain) and (host == f"[{plain}]" or not set(host) & set(":[]"))
    return told and port.isdecimal() and int(port) < 65_536


def reference() -> str:
    """Write the configuration reference as Markdown."""
    lines = [
        "# Configuration",
        "",
        "`fifo serve --config FILE` reads these settings from a TOML file; each can be given on",
        "the command line too, as `--name value` with dashes. All of them have a default.",
        "",
        "| setting | default | meaning |",
        "| --- | --- | --- |",
    ]
    for own in dataclasses.fields(Settings):
        default = own.default
        shown = "" if default in (None, "") else f"`{_toml(default)}`"
        lines.append(f"| `{own.name}` | {shown} | {own.metadata['told']} |")
    return "\n".join([*lines, ""])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, (str, Path)) else str(value)
