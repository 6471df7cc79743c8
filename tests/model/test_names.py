from __future__ import annotations

import functools
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.model import names
from fifo.model.errors import InvalidInput

UIDS = st.uuids().map(str)
LETTERS = string.ascii_lowercase
INNER = LETTERS + string.digits + "-"
IDS = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(LETTERS),
    st.text(INNER, max_size=61),
    st.sampled_from(LETTERS + string.digits),
)
COLLECTIONS = st.sampled_from(
    [names.HYPERVISORS, names.IMAGES, names.PACKAGES, names.NETWORKS, names.OPERATIONS]
)


def naive_is_id(text: str) -> bool:
    return (
        1 <= len(text) <= 63
        and text[0] in LETTERS
        and text[-1] in LETTERS + string.digits
        and set(text) <= set(INNER)
    )


@given(IDS | st.text(INNER + "A_.é\n", max_size=70))
def test_an_id_is_what_a_dns_label_is_that_begins_with_a_letter(text: str) -> None:
    assert names.is_id(text) is naive_is_id(text)


@given(UIDS)
def test_a_uid_is_a_lower_case_uuid_and_nothing_else(uid: str) -> None:
    assert names.is_uid(uid)
    assert not names.is_uid(uid.upper()) or uid == uid.upper()
    assert not names.is_uid(uid + "\n")
    assert not names.is_uid(f"{{{uid}}}")


@given(UIDS)
def test_an_id_made_from_a_uid_leads_back_to_it(uid: str) -> None:
    made = names.id_from_uid(uid)
    assert names.is_id(made)
    assert names.uid_from_id(made) == uid
    assert names.uid_from_id(uid) == uid


@given(IDS)
def test_a_chosen_id_leads_to_no_uid(own: str) -> None:
    bare = own.removeprefix("i-")
    assert names.uid_from_id(own) == (bare if names.is_uid(bare) else None)


@given(IDS | UIDS, IDS)
def test_the_name_of_an_instance_is_taken_apart_as_it_was_put_together(own: str, org: str) -> None:
    text = names.instance_name(own, org)
    name = names.parse(text, names.INSTANCES)
    assert (name.collection, name.id, name.org) == (names.INSTANCES, own, org)
    assert str(name) == text


@given(IDS | UIDS, COLLECTIONS)
def test_so_are_the_names_of_what_belongs_to_no_organisation(own: str, collection: str) -> None:
    name = names.parse(f"{collection}/{own}", collection)
    assert name == (collection, own, "", "")
    assert str(name) == f"{collection}/{own}"


@given(IDS, st.from_regex(names.SNAPSHOT_ID, fullmatch=True))
def test_so_is_the_name_of_a_snapshot(own: str, snapshot: str) -> None:
    text = f"{names.instance_name(own)}/snapshots/{snapshot}"
    name = names.parse_snapshot(text)
    assert (name.id, name.snapshot) == (own, snapshot)
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    ["", "/", "web", "instances/web", "orgs/default/instances/", "orgs//instances/web",
     "orgs/default/instances/Web", "orgs/default/instances/web/", "orgs/default/images/web",
     "orgs/-/instances/web", "orgs/default/instances/../web", "orgs/default/instances/w\n",
     "Orgs/default/instances/web", f"orgs/default/instances/{'x' * 64}", "images/web"],
)  # fmt: skip
def test_what_is_no_name_is_refused_with_the_form_that_is_wanted(text: str) -> None:
    with pytest.raises(InvalidInput, match="a name like orgs/default/instances/web-1") as caught:
        names.parse(text, names.INSTANCES, "instance.name")
    assert caught.value.violations[0].field == "instance.name"


@pytest.mark.parametrize(
    "text",
    ["", "orgs/default/instances/web", "orgs/default/instances/web/snapshots/",
     "orgs/default/instances/web/snapshots/a b", "web/snapshots/a",
     f"orgs/default/instances/web/snapshots/{'x' * 65}"],
)  # fmt: skip
def test_what_is_no_name_of_a_snapshot_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        names.parse_snapshot(text)


@given(st.text())
def test_whatever_is_written_it_is_a_name_or_refused(text: str) -> None:
    for parse in (
        functools.partial(names.parse, collection=names.INSTANCES),
        functools.partial(names.parse, collection=names.IMAGES),
        names.parse_snapshot,
    ):
        try:
            assert str(parse(text)) == text
        except InvalidInput as error:
            refused = error.violations
        else:
            refused = ()
        assert len(refused) <= 1


def test_the_parent_of_all_is_written_with_a_dash() -> None:
    assert names.parse_org("orgs/default") == "default"
    assert names.parse_org("orgs/-") == "-"
    for text in ("", "orgs", "orgs/", "orgs/A", "default", "orgs/a/b"):
        with pytest.raises(InvalidInput):
            names.parse_org(text)


def test_every_uid_that_python_makes_is_one() -> None:
    assert names.is_uid(str(uuid.UUID(int=0)))
