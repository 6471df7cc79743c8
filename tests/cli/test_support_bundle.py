"""A support bundle says what there is, at most so much of each log, and no secret."""

from __future__ import annotations

import tarfile
import time
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.cli.serving import support_bundle
from fifo.cli.serving.support_bundle import (
    PIECE_BYTES,
    logs_of,
    pack,
    records_of,
    without_secrets,
)
from fifo.model import keys, records
from fifo.model.image import Image
from fifo.model.instance import Claim, Cleanup, InstanceSpec, Shares
from fifo.model.network import Network
from fifo.model.operation import Operation
from fifo.model.package import Package
from fifo.store.catalog import View
from fifo.store.contract import KeyValue

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.store.catalog import Table

R = TypeVar("R", bound=records.Record)
TOKEN = "fpat_abc-DEF_123"  # noqa: S105 - it opens nothing
KEY = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nbm90aGluZw==\n-----END EC"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"authorization: Bearer {TOKEN}", "authorization: Bearer [removed]"),
        (f"it read {KEY} PRIVATE KEY-----", "it read [removed] EC PRIVATE KEY-----"),
        (KEY[:50], "[removed]"),
        ("from https://me:pass@host/x.qcow2", "from https://[removed]@host/x.qcow2"),
        ('"docker://me:pass@host/x"', '"docker://[removed]@host/x"'),
        ("docker://me:p@ss@host:5000/x", "docker://[removed]@host:5000/x"),
        ("get 'http://host/x?sig=abc&e=1' failed", "get 'http://host/x?[removed]' failed"),
        ("get HTTP://host/x?sig=abc", "get HTTP://host/x?[removed]"),
        ("https://host/x.tar#key", "https://host/x.tar#[removed]"),
        ("exec run --db-password=abc -v", "exec run --db-password=[removed] -v"),
        ("exec run --api-key abc -v", "exec run --api-key [removed] -v"),
        ("AWS_SECRET=abc run", "AWS_SECRET=[removed] run"),
        ('qemu --password="a b" -v', 'qemu --password=[removed]" -v'),
        ("qemu --password 'a b' -v", "qemu --password [removed]' -v"),
        ('--password="a\\"b" -v', '--password=[removed]" -v'),
        (r'{"m":"PGPASSWORD=\"a b\" psql"}', r'{"m":"PGPASSWORD=[removed]\" psql"}'),
        (r'{"m":"PASSWORD=\"a\\\"b\" psql"}', r'{"m":"PASSWORD=[removed]\" psql"}'),
        (r'{"m":"a:\n--api-key abc\n"}', '{"m":"a:\\n--api-key [removed]"}'),
        (r'{"m":"sh -c \"TOKEN=abc\""}', r'{"m":"sh -c \"TOKEN=[removed]\""}'),
        ("--password=a&b\\c -v", "--password=[removed] -v"),
        ("the token was revoked, the key is gone", "the token was revoked, the key is gone"),
        ("me@example.org asked https://host/x?", "me@example.org asked https://host/x?"),
    ],
)
def test_what_looks_like_a_secret_is_removed_and_all_else_stays(text: str, left: str) -> None:
    assert without_secrets(text.encode()).decode() == left


@given(st.binary(max_size=200))
def test_what_was_cleaned_is_clean(content: bytes) -> None:
    clean = without_secrets(content)
    assert without_secrets(clean) == clean


PARTS = (
    "key=", "--token", " ", "\n", '"', "'", "\\", "n", "a", "/", "?", "&", "@", "-", "https://",
    "://", "fpat_", "-----BEGIN ", "PRIVATE KEY-----", "-----END", "[removed]",
)  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join))
def test_what_was_cleaned_is_clean_of_whatever_it_was_made(text: str) -> None:
    clean = without_secrets(text.encode())
    assert without_secrets(clean) == clean


@given(st.lists(st.sampled_from((*PARTS, "\n" + "b" * 70)), max_size=20).map("".join))
def test_where_a_log_is_taken_into_pieces_makes_no_difference(text: str) -> None:
    whole = without_secrets(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support_bundle, "PIECE_BYTES", max(map(len, text.split("\n"))) + 1)
        assert without_secrets(text.encode()) == whole


class Watched:
    """A pattern that notes how much it is given at once."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def sub(self, instead: bytes, content: bytes) -> bytes:
        del instead
        self.given.append(len(content))
        return content


def test_never_more_is_looked_through_at_once_than_keeps_other_threads_waiting_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched()
    monkeypatch.setattr(support_bundle, "SECRETS", ((watched, b""),))
    log = b"a line of a log\n" * 20_000
    assert without_secrets(log) == log
    assert sum(watched.given) == len(log)
    assert max(watched.given) <= PIECE_BYTES
    assert len(watched.given) <= 2 * len(log) / PIECE_BYTES


@pytest.mark.parametrize(
    "word",
    ["a", "-", "--key", "key=", "--key ", "key=\\", 'key=\\"', "\\n--", "http://", "http://a@",
     "://", "://a", "'", "-----BEGIN ", "-----BEGIN PRIVATE KEY"],
)  # fmt: skip
def test_the_time_for_a_line_does_not_grow_with_what_is_in_it(word: str) -> None:
    # The longest there is takes some milliseconds; by its square it would be most of a minute.
    line = (word * PIECE_BYTES)[: PIECE_BYTES - 1].encode()
    began_s = time.thread_time()
    without_secrets(line)
    assert time.thread_time() - began_s < 2.0


def test_a_line_that_is_too_long_to_be_looked_through_is_left_out_and_told() -> None:
    long = b"token=" + b"x" * PIECE_BYTES
    told = b"[a line of %d bytes, too long to be looked through]\n" % (len(long) + 1)
    assert without_secrets(b"before\n" + long + b"\nafter\n") == b"before\n" + told + b"after\n"


def test_a_key_is_removed_over_pieces_even_one_that_has_no_end() -> None:
    body = b"bm90aGluZw==\n" * (2 * PIECE_BYTES // 13)
    begin, end = b"x -----BEGIN PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----\ny\n"
    assert without_secrets(begin + body + end) == b"x [removed] PRIVATE KEY-----\ny\n"
    assert without_secrets(begin + body) == b"x [removed]"
    in_long = b"b" * PIECE_BYTES + begin + body + end
    assert without_secrets(in_long).endswith(b"through]\n PRIVATE KEY-----\ny\n")


def put(table: Table[R], key: bytes, record: R) -> None:
    table.apply(key, KeyValue(key, records.encode(record), 1, 1, 1))


def test_records_of_each_kind_are_there_without_what_tenants_told() -> None:
    view = View()
    told = {"word": "s3cr3t"}
    metadata: dict[str, str | int | float | bool] = {**told}
    claim = Claim(uid="u", host="h", shares=Shares(memory=1))
    spec = InstanceSpec(
        uid="u", id="web", org="default", generation=1, wanted="running", brand="lx",
        create_time=0.0, customer_metadata=metadata, internal_metadata=metadata, tags=metadata,
        init=("/bin/sh", "-c", "serve s3cr3t"),
    )  # fmt: skip
    cleanup = Cleanup(uid="u", host="h", operation="op-1", since=1.0, claim=claim)
    network = Network(uid="n", id="lan", create_time=0.0, tags=told)
    image = Image(
        uid="i", id="base", create_time=0.0, format="raw", source="https://h/x?s3cr3t", tags=told
    )
    operation = Operation(
        id="op-1", kind="create_instance", target="t", principal="admin", create_time=0.0,
        deadline=1.0, uids=("u",), input=told,
    )  # fmt: skip
    put(view.specs, keys.INSTANCE_SPEC + b"u", spec)
    put(view.claims, keys.CLAIM + b"u", claim)
    put(view.cleanups, keys.cleanup("h", "u"), cleanup)
    put(view.networks, keys.NETWORK + b"n", network)
    put(view.images, keys.IMAGE + b"i", image)
    put(view.packages, keys.PACKAGE + b"p", Package(uid="p", id="small", create_time=0.0))
    put(view.operations, keys.OPERATION + b"op-1", operation)
    files = {name: without_secrets(text) for name, text in records_of(view).items()}
    for name in ("instances", "claims", "cleanups", "networks", "images", "packages", "operations"):
        assert b'"type"' in files[f"{name}.json"], name
    assert not any(b"s3cr3t" in text for text in files.values())


def write(directory: Path, **logs: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in logs.items():
        (directory / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return directory


def test_of_each_log_there_is_the_newest_with_what_was_put_aside(tmp_path: Path) -> None:
    own = write(tmp_path / "logs", fifo_log="newest", fifo_log_1="middle", fifo_log_2="oldest")
    keeper = write(tmp_path / "keeper", keeper_log="the keeper's", keeper_log_1="before")
    write(keeper, keeper_journal="no log")
    assert dict(logs_of((own, keeper), 9)) == {
        "logs/fifo.log": b"newest", "logs/fifo.log.1": b"dle", "logs/keeper.log": b" keeper's",
    }  # fmt: skip
    assert len(dict(logs_of((own, keeper), 1_000))) == 5
    assert dict(logs_of((own, keeper, tmp_path / "not there"), 0)) == {}


@pytest.mark.parametrize("most_bytes", range(1, 40))
def test_a_log_that_is_cut_in_a_secret_gives_no_part_of_it(tmp_path: Path, most_bytes: int) -> None:
    own = write(tmp_path / "logs", fifo_log=f"token {TOKEN} was used")
    (found,) = dict(logs_of((own,), most_bytes)).values()
    assert len(found) <= most_bytes
    assert b"abc" not in found
    assert b"123" not in found


def test_the_files_of_a_bundle_are_for_its_reader_alone_and_clean(tmp_path: Path) -> None:
    target = tmp_path / "bundle.tar.gz"
    pack(target, {"metrics.txt": f"fifo {TOKEN}\n".encode()}, [("logs/fifo.log", b"clean")])
    with tarfile.open(target) as archive:
        member, log = archive
        assert (log.name, log.mode, log.size) == ("fifo-support/logs/fifo.log", 0o600, 5)
        assert (member.name, member.mode) == ("fifo-support/metrics.txt", 0o600)
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == b"fifo [removed]\n"
