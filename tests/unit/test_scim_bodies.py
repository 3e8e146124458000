"""Changes as the bodies of PATCH and PUT: what is said of a user, and what of others is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connector.model import AttributeChange, Outcome, Result, Secret, View
from tests.support.scim_provider import (
    ACCOUNT,
    ADDRESS,
    CEC,
    CORE,
    LINE,
    PASSWORD,
    PATCH_OP,
    SEAT,
    Json,
    Provider,
    change,
    once,
    opened,
    said,
    schemas,
    seat,
    user,
    write,
)

PHONE = 'phoneNumbers[type eq "work"].value'
LABEL = 'phoneNumbers[type eq "work"].display'
EVERY_PHONE = "phoneNumbers.value"


def kept(number: int, **more: Any) -> Json:
    """An invented user as it is stored, but for `schemas`."""
    return {name: held for name, held in user(number, **more).items() if name != "schemas"}


def one(provider: Provider, view: tuple[str, ...], *attributes: AttributeChange) -> Outcome:
    (outcome,) = write(opened(provider, View(view)), change(1, *attributes))
    return outcome


# ---------------------------------------------------------------- PATCH


def test_a_patch_names_whole_attributes_has_values_of_their_types_empties_first_and_sets_unseen_ones_last() -> None:
    provider = Provider(user(1, **{CEC: {"workNo": 7, "accountCode": "old", "sipServiceIp": "192.0.2.1"}}))
    attributes = (
        AttributeChange(SEAT, ("7",), ("8",)),
        AttributeChange(ACCOUNT, ("old",), ()),
        AttributeChange(PASSWORD, (), (Secret("canary"),), secret=True, seen=False),
        AttributeChange("ACTIVE", ("TRUE",), ("false",)),
        AttributeChange(ADDRESS, ("192.0.2.1",), ()),
        AttributeChange(LINE, (), (b"1001",)),
    )
    assert one(provider, (), *attributes).result is Result.WRITTEN
    (request,) = provider.writes
    assert (request.method, request.path) == ("PATCH", "/Users/u1")
    assert request.body == {
        "schemas": [PATCH_OP],
        "Operations": [
            {"op": "remove", "path": ACCOUNT},
            {"op": "remove", "path": ADDRESS},
            {"op": "replace", "path": SEAT, "value": 8},
            {"op": "replace", "path": "active", "value": False},
            {"op": "replace", "path": LINE, "value": "1001"},
            {"op": "replace", "path": PASSWORD, "value": "canary"},
        ],
    }
    assert provider.stored("u1") == kept(
        1, active=False, **{CEC: {"workNo": 8, "sipPassword": "canary", "sipAccount": "1001"}}
    )


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_server_without_remove_is_told_null_and_asked_for_remove_once_only(status: int) -> None:
    held = {CEC: {"workNo": 7}}
    provider = Provider(*(user(number, **held) for number in (1, 2, 3)), etag=False)
    provider.meddle = lambda request: said({}, status, request=request) if removes(request) else None
    beside = AttributeChange("nickName", (), ("x",))
    changes = [seat(1, "7", "8"), change(2, beside, *seat(2, "7", "").attributes), seat(3, "7", "")]
    assert [outcome.result for outcome in write(opened(provider), *changes)] == [Result.WRITTEN] * 3
    assert [request.body["Operations"][0] for request in provider.writes] == [
        {"op": "replace", "path": SEAT, "value": 8},
        {"op": "remove", "path": SEAT},
        {"op": "replace", "path": SEAT, "value": None},
        {"op": "replace", "path": SEAT, "value": None},
    ]


def removes(request: Any) -> bool:
    return request.method == "PATCH" and any(each["op"] == "remove" for each in request.body["Operations"])


def test_a_refusal_that_is_not_about_remove_is_not_asked_again_in_other_words() -> None:
    provider = Provider(user(1, **{CEC: {"workNo": 7}}), etag=False)
    provider.meddle = once(lambda request: said({}, 403, request=request))
    outcomes = write(opened(provider), seat(1, "7", ""))
    assert [outcome.result for outcome in outcomes] == [Result.FAILED]
    assert len(provider.writes) == 1


def test_what_is_refused_in_both_words_is_asked_in_both_again() -> None:
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2)), etag=False)
    provider.meddle = once(lambda request: said({}, 400, request=request), times=2)
    outcomes = write(opened(provider), seat(1, "7", ""), seat(2, "7", ""))
    assert [outcome.result for outcome in outcomes] == [Result.FAILED, Result.WRITTEN]
    assert [request.body["Operations"][0]["op"] for request in provider.writes] == ["remove", "replace", "remove"]


def test_a_server_that_has_emptied_one_by_remove_is_not_asked_for_another_in_other_words() -> None:
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2)), etag=False)
    provider.meddle = once(lambda request: said({}, 400, request=request), skip=1)
    outcomes = write(opened(provider), seat(1, "7", ""), seat(2, "7", ""))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN, Result.FAILED]
    assert len(provider.writes) == 2


def test_a_refusal_of_a_patch_that_empties_nothing_is_not_asked_again() -> None:
    provider = Provider(user(1), etag=False)
    provider.meddle = once(lambda request: said({}, 400, request=request))
    assert [outcome.result for outcome in write(opened(provider), seat(1))] == [Result.FAILED]
    assert len(provider.writes) == 1


# ---------------------------------------------------------------- forms that a refusal asks for

WORDS = ["", "The value must be an array", "op must be one of 'Add', 'Replace'", "Input should be a valid list"]


def plain_json_alone(request: Any) -> Any:
    """It refuses a PATCH of any other content type."""
    if request.method != "PATCH" or request.headers["Content-Type"] == "application/json":
        return None
    return said({}, 415, request=request)


class Tolerant(Provider):
    """It understands both cases of an operation, and a single value in an array."""

    def _patched(self, id_: str, body: Json) -> Json:
        for each in body["Operations"]:
            each["op"] = each["op"].lower()
            if isinstance(each.get("value"), list) and "tags" not in each["path"]:
                (each["value"],) = each["value"]
        return super()._patched(id_, body)


def test_a_content_type_that_a_refusal_asks_for_is_sent_from_then_on() -> None:
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2, 3)), etag=False)
    provider.meddle = plain_json_alone
    outcomes = write(opened(provider), seat(1, "7", "8"), seat(2, "7", ""), seat(3, "7", "9"))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN] * 3
    assert len(provider.writes) == 4, "one refusal in the run"
    assert [provider.stored(f"u{number}").get(CEC, {}).get("workNo") for number in (1, 2, 3)] == [8, None, 9]


@pytest.mark.parametrize("words", WORDS)
def test_nothing_is_guessed_from_the_words_of_a_refusal(words: str) -> None:
    provider = Provider(user(1), etag=False)
    provider.meddle = once(lambda request: said({"detail": words}, 400, request=request))
    assert [outcome.result for outcome in write(opened(provider), seat(1))] == [Result.FAILED]
    assert len(provider.writes) == 1


def test_what_was_done_in_part_before_a_form_was_refused_is_not_said_to_be_of_another_version() -> None:
    provider = Tolerant(user(1))

    def meddle(request: Any) -> Any:
        provider.set("u1", title="by the first operation")
        return said({"detail": "The value must be an array"}, 400, request=request)

    provider.meddle = once(meddle)
    (outcome,) = write(opened(provider), seat(1))
    assert (outcome.result, "must be an array" in outcome.why) == (Result.FAILED, True)


def test_users_that_are_replaced_whole_are_sent_as_plain_json_where_a_server_takes_nothing_else() -> None:
    provider = Provider(*map(user, (1, 2)), etag=False, patch=False, published=schemas(hidden=False))
    provider.meddle = lambda request: (
        said({}, 415, request=request)
        if request.method == "PUT" and request.headers["Content-Type"] != "application/json"
        else None
    )
    assert [outcome.result for outcome in write(opened(provider), seat(1), seat(2))] == [Result.WRITTEN] * 2
    assert len(provider.writes) == 3


def test_a_dialect_file_says_beforehand_which_form_to_speak(tmp_path: Path) -> None:
    (tmp_path / "dialect.json").write_text('{"capitals": true, "arrays": true, "media": "application/json"}')
    provider = Tolerant(user(1), etag=False)
    write(opened(provider, dialect=tmp_path / "dialect.json"), seat(1))
    (request,) = provider.writes
    assert request.body["Operations"] == [{"op": "Replace", "path": SEAT, "value": [8]}]
    assert request.headers == {"Content-Type": "application/json"}


def test_where_values_are_sent_in_arrays_several_stay_one_array(tmp_path: Path) -> None:
    (tmp_path / "dialect.json").write_text('{"arrays": true}')
    provider = Tolerant(user(1, tags=["a"]), etag=False)
    tags = AttributeChange("tags", ("a",), ("b", "c"), pattern="*")
    write(opened(provider, View(("tags",)), dialect=tmp_path / "dialect.json"), change(1, tags, *seat(1).attributes))
    assert [each["value"] for each in provider.writes[0].body["Operations"]] == [["b", "c"], [8]]
    assert provider.stored("u1")["tags"] == ["b", "c"]


def test_where_values_are_sent_in_arrays_null_stays_null(tmp_path: Path) -> None:
    (tmp_path / "dialect.json").write_text('{"arrays": true, "clearing": "null"}')
    provider = Provider(user(1, **{CEC: {"workNo": 7}}))
    write(opened(provider, dialect=tmp_path / "dialect.json"), seat(1, "7", ""))
    assert provider.writes[0].body["Operations"] == [{"op": "replace", "path": SEAT, "value": None}]


class Pathless(Provider):
    """It knows no operation with a path but `remove`. `wipes`: what stands beside in an extension is gone then."""

    wipes = False

    def _patched(self, id_: str, body: Json) -> Json:
        found = self.users[id_]
        for each in body["Operations"]:
            if each["op"] == "remove":
                self.users[id_] = found = super()._patched(id_, {"Operations": [each]})
                continue
            if "path" in each:
                raise ValueError(400)
            for name, value in each["value"].items():
                before = found.get(name, {})
                found[name] = {**before, **value} if isinstance(value, dict) and not self.wipes else value
        return found


@pytest.mark.parametrize(("clearing", "operations"), [
    ("remove", [
        {"op": "remove", "path": ADDRESS},
        {"op": "replace", "value": {
            "nickName": "x", "name": {"familyName": "P", "middleName": "M"},
            CEC: {"workNo": 8, "accountCode": "anna", "sipPassword": "canary"},
        }},
    ]),
    ("null", [
        {"op": "replace", "value": {
            CEC: {"sipServiceIp": None, "workNo": 8, "accountCode": "anna", "sipPassword": "canary"}, "nickName": "x",
            "name": {"familyName": "P", "middleName": "M"},
        }},
    ]),
])  # fmt: skip
def test_a_dialect_file_may_ask_for_one_operation_without_a_path(
    tmp_path: Path, clearing: str, operations: list[Json]
) -> None:
    (tmp_path / "dialect.json").write_text(json.dumps({"paths": False, "clearing": clearing}))
    before = {"name": {"familyName": "P"}, CEC: {"workNo": 7, "accountCode": "anna", "sipServiceIp": "192.0.2.1"}}
    provider = Pathless(user(1, **before))
    attributes = (
        AttributeChange(PASSWORD, (), (Secret("canary"),), secret=True, seen=False),
        AttributeChange("nickName", (), ("x",)),
        AttributeChange("name.middleName", (), ("M",)),
        *seat(1, "7", "8").attributes,
        AttributeChange(ADDRESS, ("192.0.2.1",), ()),
    )
    (outcome,) = write(opened(provider, dialect=tmp_path / "dialect.json"), change(1, *attributes))
    assert outcome.result is Result.WRITTEN, outcome.why
    assert provider.writes[-1].body["Operations"] == operations
    assert provider.stored("u1")["name"] == {"familyName": "P", "middleName": "M"}


def test_without_a_path_a_complex_value_is_made_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "dialect.json").write_text('{"paths": false}')
    provider = Pathless({each: held for each, held in user(1).items() if each != "name"})
    name = AttributeChange("name.middleName", (), ("M",))
    (outcome,) = write(opened(provider, dialect=tmp_path / "dialect.json"), change(1, name))
    assert outcome.result is Result.WRITTEN, outcome.why
    assert provider.writes[-1].body["Operations"] == [{"op": "replace", "value": {"name": {"middleName": "M"}}}]


@pytest.mark.parametrize("wipes", [True, False])
def test_without_a_path_an_extension_and_a_complex_value_are_sent_with_all_that_they_held(
    tmp_path: Path, *, wipes: bool
) -> None:
    (tmp_path / "dialect.json").write_text('{"paths": false}')
    name = {"familyName": "P", "givenName": "G", "middleName": "M"}
    provider = Pathless(user(1, name=name, **{CEC: {"workNo": 7, "accountCode": "anna", "sipServiceIp": "192.0.2.1"}}))
    provider.wipes = wipes
    attributes = (
        *seat(1, "7", "8").attributes,
        AttributeChange(ADDRESS, ("192.0.2.1",), ()),
        AttributeChange("name.givenName", ("G",), ("H",)),
        AttributeChange("name.middleName", ("M",), ()),
    )
    (outcome,) = write(opened(provider, dialect=tmp_path / "dialect.json"), change(1, *attributes))
    assert outcome.result is Result.WRITTEN, outcome.why
    assert provider.stored("u1")["name"] == {"familyName": "P", "givenName": "H"}
    assert provider.stored("u1")[CEC] == {"workNo": 8, "accountCode": "anna"}


@pytest.mark.parametrize(("planned", "rest"), [
    ((), []),
    ((AttributeChange("nickName", (), ("x",)),), [{"op": "replace", "value": {"nickName": "x"}}]),
])  # fmt: skip
def test_without_a_path_what_is_only_emptied_is_named_and_is_in_no_value(
    tmp_path: Path, planned: tuple[AttributeChange, ...], rest: list[Json]
) -> None:
    (tmp_path / "dialect.json").write_text('{"paths": false, "clearing": "remove"}')
    provider = Pathless(user(1, **{CEC: {"workNo": 7}}))
    changed = change(1, *planned, *seat(1, "7", "").attributes)
    (outcome,) = write(opened(provider, dialect=tmp_path / "dialect.json"), changed)
    assert outcome.result is Result.WRITTEN, outcome.why
    assert provider.writes[-1].body["Operations"] == [{"op": "remove", "path": SEAT}, *rest]


def test_no_refusal_leads_to_an_operation_without_a_path() -> None:
    provider = Pathless(user(1), etag=False)
    (outcome,) = write(opened(provider), seat(1))
    assert outcome.result is Result.FAILED
    assert all("path" in each for request in provider.writes for each in request.body["Operations"])


def test_a_dialect_file_says_beforehand_how_to_empty(tmp_path: Path) -> None:
    (tmp_path / "dialect.json").write_text('{"clearing": "null"}')
    provider = Provider(user(1, **{CEC: {"workNo": 7}}))
    outcomes = write(opened(provider, dialect=tmp_path / "dialect.json"), seat(1, "7", ""))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN]
    assert [request.body["Operations"] for request in provider.writes] == [
        [{"op": "replace", "path": SEAT, "value": None}]
    ]


def test_a_type_is_one_whatever_its_case() -> None:
    provider = Provider(user(1), published=json.loads(json.dumps(schemas()).replace('"complex"', '"COMPLEX"')))
    assert one(provider, (), AttributeChange(PHONE, (), ("7",))).result is Result.WRITTEN
    assert provider.stored("u1")["phoneNumbers"] == [{"type": "work", "value": "7"}]
    view = View((PHONE, "phoneNumbers", "phoneNumbers.display", "name", "name.familyName"))
    infos = opened(provider, view).describe().attributes
    assert infos == opened(Provider(user(1)), view).describe().attributes


def test_a_part_of_a_complex_attribute_is_written_by_its_own_path() -> None:
    provider = Provider(user(1, name={"familyName": "Person", "middleName": "A"}))
    changed = AttributeChange("name.middlename", ("A",), ("B",))
    assert one(provider, (), changed).result is Result.WRITTEN
    assert provider.writes[0].body["Operations"] == [{"op": "replace", "path": "name.middleName", "value": "B"}]
    assert provider.stored("u1")["name"] == {"familyName": "Person", "middleName": "B"}


# ---------------------------------------------------------------- attributes of several values

HOME: Json = {"type": "home", "value": "1", "primary": True}
DESK: Json = {"type": "work", "value": "1", "display": "desk"}


@pytest.mark.parametrize(
    ("name", "before", "old", "new", "after"),
    [
        (PHONE, None, "", "7", [{"type": "work", "value": "7"}]),
        (PHONE, [], "", "7", [{"type": "work", "value": "7"}]),
        (PHONE, [HOME], "", "7", [HOME, {"type": "work", "value": "7"}]),
        (PHONE, [DESK, HOME], "1", "7", [{"type": "work", "value": "7", "display": "desk"}, HOME]),
        (PHONE, [DESK, HOME], "1", "", [HOME]),
        (PHONE, [DESK], "1", "", None),
        (PHONE, [DESK, HOME], "1", "1 2", [DESK, HOME, {"type": "work", "value": "2"}]),
        (PHONE, [HOME, DESK], "1", "8 9", [HOME, {**DESK, "value": "8"}, {"type": "work", "value": "9"}]),
        (PHONE, [HOME, DESK, DESK | {"value": "2"}], "1 2", "2", [HOME, DESK | {"value": "2"}]),
        (PHONE, [{"Type": "WORK", "VALUE": "1"}, HOME], "1", "7", [{"Type": "WORK", "VALUE": "7"}, HOME]),
        (PHONE, [{"type": "work", "display": "none"}, HOME], "", "7",
         [{"type": "work", "display": "none"}, HOME, {"type": "work", "value": "7"}]),
        (PHONE, HOME, "", "7", [HOME, {"type": "work", "value": "7"}]),
        (LABEL, [HOME, DESK], "desk", "desktop", [HOME, {**DESK, "display": "desktop"}]),
        (LABEL, [HOME, DESK], "desk", "", [HOME]),
        (LABEL, [HOME], "", "desk", [HOME, {"type": "work", "display": "desk"}]),
        (EVERY_PHONE, [HOME, DESK], "1", "7", [{**HOME, "value": "7"}]),
        (EVERY_PHONE, [HOME, DESK | {"value": "2"}], "1 2", "1 3", [HOME, DESK | {"value": "3"}]),
        ("tags", ["a", "b"], "a b", "b c", ["b", "c"]),
        ("tags", "a", "a", "a b", ["a", "b"]),
        ("tags", ["a"], "a", "", None),
        ("tags", [{"value": "a", "display": "x"}, "b"], "a b", "b c", [{"value": "c", "display": "x"}, "b"]),
    ],
)  # fmt: skip
def test_elements_of_others_and_what_stands_beside_a_value_are_kept(
    name: str, before: Any, old: str, new: str, after: list[Any] | None
) -> None:
    """A value that comes takes the place of one that goes; what is left over goes, or comes last."""
    attribute = "tags" if name == "tags" else "phoneNumbers"
    provider = Provider(user(1, **({} if before is None else {attribute: before})))
    planned = AttributeChange(name, tuple(old.split()), tuple(new.split()), pattern="*")
    assert one(provider, (name,), planned).result is Result.WRITTEN
    (operation,) = provider.writes[0].body["Operations"]
    assert operation.get("value") == after
    assert operation["path"] == attribute
    assert provider.stored("u1") == kept(1, **({attribute: after} if after else {}))


ELEMENTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["work", "home", "WORK"]), "value": st.sampled_from(["tel:1", "tel:2", "3", "4"])},
        optional={"display": st.sampled_from(["desk", "car"]), "primary": st.booleans()},
    ),
    max_size=5,
    unique_by=lambda element: (str(element["type"]).lower(), element["value"]),
)


def is_ours(element: Json) -> bool:
    return str(element["type"]).lower() == "work" and str(element["value"]).startswith("tel:")


@given(before=ELEMENTS, new=st.lists(st.sampled_from(["tel:1", "tel:2", "tel:5", "tel:6"]), unique=True, max_size=3))
def test_whatever_there_is_all_but_our_values_stays_as_it_was_and_in_its_order(
    before: list[Json], new: list[str]
) -> None:
    old = tuple(element["value"] for element in before if is_ours(element))
    provider = Provider(user(1, phoneNumbers=before))
    planned = AttributeChange(PHONE, old[::-1], tuple(new), pattern="tel:*")
    same = set(old) == set(new)
    assert one(provider, (PHONE,), planned).result is (Result.UNCHANGED if same else Result.WRITTEN)
    after = provider.stored("u1").get("phoneNumbers", [])
    assert sorted(element["value"] for element in after if is_ours(element)) == sorted(new)
    assert [each for each in after if not is_ours(each)] == [each for each in before if not is_ours(each)]
    assert [each for each in before if is_ours(each) and each["value"] in new] == [
        each for each in after if is_ours(each) and each["value"] in old
    ]
    assert provider.stored("u1") | {"phoneNumbers": []} == kept(1, phoneNumbers=[])


OTHER = 'phoneNumbers[type eq "other"].value'
KINDS = st.sampled_from(["work", "other", "home"])
PHONES = st.lists(
    st.fixed_dictionaries({"type": KINDS, "value": st.sampled_from(["1", "2", "3"])}),
    max_size=4,
    unique_by=lambda element: (element["type"], element["value"]),
)
VALUES = st.lists(st.sampled_from(["1", "2", "3", "4"]), unique=True, max_size=2)


@given(before=PHONES, work=VALUES, other=VALUES, patch=st.booleans())
def test_several_mapped_elements_of_one_attribute_are_set_together(
    before: list[Json], work: list[str], other: list[str], patch: bool
) -> None:
    def held(phones: list[Json], kind: str) -> list[str]:
        return sorted(each["value"] for each in phones if each["type"] == kind)

    provider = Provider(user(1, phoneNumbers=before), patch=patch, published=schemas(hidden=False))
    planned = (
        AttributeChange(PHONE, tuple(held(before, "work")), tuple(work), pattern="*"),
        AttributeChange(OTHER, tuple(held(before, "other")), tuple(other), pattern="*"),
        AttributeChange("title", ("Sample",), ("Other",)),
    )
    outcome = one(provider, (PHONE, OTHER, "title"), *planned)
    assert outcome.result is Result.WRITTEN, outcome.why
    after = provider.stored("u1").get("phoneNumbers", [])
    assert (held(after, "work"), held(after, "other")) == (sorted(work), sorted(other))
    assert held(after, "home") == held(before, "home")
    for request in provider.writes if patch else ():
        paths = [operation["path"] for operation in request.body["Operations"]]
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    ("planned", "result", "why"),
    [
        (AttributeChange(PHONE, ("tel:1",), ("tel:2",), pattern="tel:*"), Result.CONFLICT, "changed since"),
        (AttributeChange(PHONE, ("tel:1", "tel:9"), ("3",), pattern="tel:*"), Result.CONFLICT, "not this job's"),
        (AttributeChange(PHONE, ("tel:1", "tel:9"), ("",), pattern="tel:*"), Result.FAILED, "empty value"),
        (AttributeChange(SEAT, (), ("1", "2")), Result.FAILED, "one value only"),
        (AttributeChange(SEAT, (), ("canary",)), Result.FAILED, "is no integer"),
        (AttributeChange(ACCOUNT, (), ("theirs",), pattern="cec:*"), Result.WRITTEN, ""),
        (AttributeChange("title", (), ("cec:1",), pattern="cec:*"), Result.FAILED, "one value only"),
        (AttributeChange("title", ("SAMPLE",), ("Sample",)), Result.UNCHANGED, "already has all values"),
        (AttributeChange("title", ("Other",), ("Sample",)), Result.CONFLICT, "changed since the plan"),
        (AttributeChange(LINE, ("1a",), ("2",)), Result.CONFLICT, "changed since the plan"),
        (AttributeChange(PASSWORD, (), (), secret=True, seen=False), Result.WRITTEN, ""),
    ],
)  # fmt: skip
def test_a_user_is_compared_as_its_schema_says_and_nothing_is_sent_that_cannot_be(
    planned: AttributeChange, result: Result, why: str
) -> None:
    phones = [{"type": "work", "value": value} for value in ("tel:1", "tel:9", "3")]
    provider = Provider(user(1, phoneNumbers=phones, **{CEC: {"sipAccount": "1A", "sipPassword": "p"}}))
    before = provider.stored("u1")
    outcome = one(provider, (), AttributeChange("nickName", (), ("x",)), planned)
    if result is Result.UNCHANGED:  # it is alone that it changes nothing
        assert outcome.result is Result.WRITTEN
        outcome = one(provider, (), planned)
    assert outcome.result is result
    assert why in outcome.why
    assert "canary" not in outcome.why
    if result in {Result.CONFLICT, Result.FAILED}:
        assert provider.writes == []
        assert provider.stored("u1") == before


def test_what_was_not_seen_is_set_whatever_is_there() -> None:
    provider = Provider(user(1))
    planned = AttributeChange("title", (), ("Sample",), seen=False)
    assert one(provider, (), planned).result is Result.WRITTEN
    assert provider.writes[0].body["Operations"] == [{"op": "replace", "path": "title", "value": "Sample"}]


def test_stars_in_the_place_of_a_secret_are_no_value() -> None:
    provider = Provider(user(1))
    starred = provider.shown("u1") | {CEC: {"sipPassword": "****"}}
    provider.meddle = once(lambda request: said(starred, request=request), "GET")
    planned = AttributeChange(PASSWORD, (), (Secret("canary"),), secret=True)
    assert one(provider, (), planned).result is Result.WRITTEN
    assert provider.stored("u1")[CEC] == {"sipPassword": "canary"}


# ---------------------------------------------------------------- PUT

SHOWN = schemas(hidden=False)


def test_where_there_is_no_patch_the_whole_user_is_put_as_it_was_but_for_the_change() -> None:
    """Without `null` and what is empty, which is no value (RFC 7643 §2.5)."""
    users = user(1), user(2, **{CEC: {"workNo": 7, "sipAccount": "1"}}), user(3, nickName=None, **{CEC: {"workNo": 7}})
    provider = Provider(*users, patch=False, published=SHOWN)
    outcomes = write(opened(provider), seat(1), seat(2, "7", ""), seat(3, "7", ""))
    assert [outcome.result for outcome in outcomes] == [Result.WRITTEN] * 3
    assert [(request.method, request.path) for request in provider.writes] == [
        ("PUT", "/Users/u1"), ("PUT", "/Users/u2"), ("PUT", "/Users/u3"),
    ]  # fmt: skip
    assert [line for line in provider.said if line.startswith("GET")] == [
        "GET u1", "GET u1", "GET u2", "GET u2", "GET u3", "GET u3",
    ]  # fmt: skip
    bodies = [{name: held for name, held in each.body.items() if name != "meta"} for each in provider.writes]
    assert bodies == [
        user(1, schemas=[CORE, CEC], **{CEC: {"workNo": 8}}),
        user(2, **{CEC: {"sipAccount": "1"}}),
        user(3),
    ]


def test_names_are_put_as_they_are_spelt_there() -> None:
    shouted = CEC.upper()
    held = {"SCHEMAS": [shouted], "ACTIVE": True, "Name": {"FAMILYNAME": "P"}, shouted: {"WORKNO": 7, "x": 1}}
    provider = Provider({"id": "u1", "userName": "agent001"} | held, patch=False, etag=False, published=SHOWN)
    attributes = AttributeChange(SEAT, ("7",), ("8",)), AttributeChange("name.familyName", ("P",), ("Q",))
    assert one(provider, (), *attributes, AttributeChange("active", ("TRUE",), ())).result is Result.WRITTEN
    (request,) = provider.writes
    put = {name: value for name, value in request.body.items() if name not in {"meta", "id", "userName"}}
    assert put == {"SCHEMAS": [shouted], "Name": {"FAMILYNAME": "Q"}, shouted: {"WORKNO": 8, "x": 1}}


def test_a_user_that_names_no_schemas_names_the_one_that_is_new() -> None:
    bare = {name: held for name, held in user(1).items() if name != "schemas"}
    provider = Provider(bare, patch=False, published=SHOWN)
    assert one(provider, (), *seat(1).attributes).result is Result.WRITTEN
    assert provider.writes[0].body["schemas"] == [CEC]


def test_nothing_is_put_where_the_server_keeps_something_to_itself() -> None:
    provider = Provider(user(1), patch=False)
    outcomes = write(opened(provider), seat(1))
    assert [outcome.result for outcome in outcomes] == [Result.SKIPPED]
    assert "Nothing was written" in outcomes[0].why
    assert provider.asked == []
