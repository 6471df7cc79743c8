from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from fifo.model.vmadm import document, limits

ATTACKS = {
    "brackets": b"[" * 200_000,
    "objects in objects": b'{"a":' * 50_000,
    "nine levels": json.dumps({"a": {"b": [[[[[[[1]]]]]]]}}).encode(),
    "a number of a million digits": b'{"ram": ' + b"9" * 250_000 + b"}",
    "a number of thirty digits": b'{"ram": ' + b"9" * 30 + b"}",
    "beyond a double": b'{"ram": 1e999}',
    "not a number": b'{"ram": NaN}',
    "infinity": b'{"ram": -Infinity}',
    "half a surrogate pair": b'{"alias": "\\ud800"}',
    "a surrogate in UTF-8": b'{"alias": "\xed\xa0\x80"}',
    "no UTF-8": b'{"alias": "\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"brand": "lx"}',
    "two documents": b'{"brand": "lx"}{"brand": "kvm"}',
    "cut off": b'{"brand": "l',
    "a list": b"[1]",
    "a text": b'"lx"',
    "nothing": b"",
    "many empty lists": b'{"a": [' + b"[]," * 80_000 + b"1]}",
    "many brackets behind quotes that never end": b'{"a": "' + b'\\"[' * 80_000,
    "many members": b'{"tags": {' + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}}",
    "one member thirty thousand times": b"{" + b'"ram":1,' * 30_000 + b'"b":1}',
    "one member ten thousand times": b"{" + b'"ram":1,' * 10_000 + b'"b":1}',
    "too long": b'{"alias": "' + b"x" * limits.PAYLOAD_BYTES + b'"}',
}


@pytest.mark.parametrize("data", ATTACKS.values(), ids=ATTACKS.keys())
def test_what_readers_differ_in_is_refused_within_50_ms_and_16_mb(data: bytes) -> None:
    spent_s = []
    for _ in range(3):
        before = time.process_time()
        value, refused = document.read(data)
        spent_s.append(time.process_time() - before)
        assert value == {}
        assert len(refused) == 1
    # The best of three: the collector of garbage walks through whatever other tests have left.
    assert min(spent_s) < 0.05
    tracemalloc.start()
    document.read(data)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 16_000_000


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "a"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "a"),
        (b'{"x": [{"mac": ":\\"a\\":", "mac" : ""}]}', "mac"),
    ],
)
def test_a_member_that_is_given_twice_is_named(data: bytes, path: str) -> None:
    _, (violation,) = document.read(data)
    assert violation.field == path
    assert "twice" in violation.wanted


def test_all_members_that_are_given_twice_are_named() -> None:
    _, refused = document.read(b'{"a": 1, "a": 2, "b": {"c": 1, "c": 1}}')
    assert {violation.field for violation in refused} == {"a", "c"}


@pytest.mark.parametrize(
    "text",
    ['"": ', '\\":', 'a\\\\"', ":", '","a":"', "\\\\\\", "é", "\U0001f600", "\u2028", "\x00"],
)
def test_whatever_stands_in_texts_is_no_member(text: str) -> None:
    value = {"a": text, text or "b": {"c": [text]}}
    assert document.read(json.dumps(value).encode()) == (value, ())
    assert document.read(json.dumps(value, ensure_ascii=False, indent=2).encode()) == (value, ())


def test_a_script_with_many_braces_is_one_text() -> None:
    value = {"customer_metadata": {"user-script": "{[" * 20_000}}
    assert document.read(json.dumps(value).encode()) == (value, ())


def test_a_number_that_is_too_large_is_named_by_its_path() -> None:
    _, (violation,) = document.read(b'{"nics": [{"mtu": 1}, {"mtu": 9007199254740993}]}')
    assert violation.field == "nics[1].mtu"


def test_a_name_is_shown_without_what_moves_a_cursor() -> None:
    _, (violation,) = document.read(b'{"\\u001b[2J\\n": 9007199254740993}')
    assert violation.field == "\\u001b[2J\\u000a"
