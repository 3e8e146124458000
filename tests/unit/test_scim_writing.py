"""Writing to SCIM servers: what is asked, which version is heeded, and what an answer is taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.effects import NOTE
from connector.directories.scim.protocol import Answer, ImpatientError, LostAnswerError, Request
from connector.directories.scim.writing import LOST, STALE
from connector.errors import DeniedError, IncompleteRead, MalformedError, UnreachableError, UntrustedError
from connector.model import AttributeChange, Outcome, Result, Secret, User, View
from tests.support.scim_provider import (
    CEC,
    PASSWORD,
    SEAT,
    Json,
    Meddler,
    Provider,
    change,
    failing,
    given,
    once,
    opened,
    said,
    schemas,
    seat,
    user,
    write,
)

NAMED = AttributeChange("nickName", (), ("x",))
UNSEEN = AttributeChange(PASSWORD, (), (Secret("canary"),), secret=True, seen=False)


def results(outcomes: list[Outcome]) -> list[Result]:
    assert "canary" not in repr(outcomes)
    return [outcome.result for outcome in outcomes]


def only(provider: Provider, *attributes: AttributeChange, scanned: bool = False, **settings: Any) -> Outcome:
    """What becomes of one change of the first user."""
    directory = opened(provider, **settings)
    if scanned:
        read(provider, directory)
    (outcome,) = write(directory, change(1, *(attributes or seat(1).attributes)))
    assert "canary" not in repr(outcome)
    return outcome


def read(provider: Provider, directory: ScimDirectory) -> None:
    """Read everybody, as for a plan; that is not among what was asked then."""
    list(directory.scan())
    provider.asked.clear()


def seats(provider: Provider) -> list[int | None]:
    return [held.get(CEC, {}).get("workNo") for held in provider.users.values()]


def others(provider: Provider, **values: Any) -> Meddler:
    """Somebody else writes to the user, just before the request comes in."""

    def meddle(request: Request) -> Answer | None:
        provider.set(request.path.rpartition("/")[2], **values)
        return None

    return meddle


# ---------------------------------------------------------------- versions


def test_users_are_read_before_and_after_and_written_with_the_version_that_was_read() -> None:
    provider = Provider(*map(user, (1, 2, 3)))
    directory = opened(provider)
    read(provider, directory)
    outcomes = write(directory, *map(seat, (1, 2, 3)))
    assert results(outcomes) == [Result.WRITTEN] * 3
    assert provider.said == [
        each for id_ in ("u1", "u2", "u3") for each in (f"GET {id_}", f'PATCH {id_} W/"1"', f"GET {id_}")
    ]
    assert [outcome.shown and outcome.shown.values[SEAT] for outcome in outcomes] == [("8",)] * 3
    assert {(request.method, request.repeatable) for request in provider.asked} == {("GET", True), ("PATCH", False)}


def test_a_plan_that_what_was_read_does_not_bear_out_is_held_to_what_is_there_now() -> None:
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2, 3)))
    directory = opened(provider)
    read(provider, directory)
    for id_, now in (("u2", 8), ("u3", 9)):
        provider.set(id_, **{CEC: {"workNo": now}})
    assert results(write(directory, seat(1, "7", "8"), seat(2, "8", "7"), seat(3, "9", "7"))) == [Result.WRITTEN] * 3
    assert [each for each in provider.said if each.startswith("PATCH")] == [
        'PATCH u1 W/"1"', 'PATCH u2 W/"2"', 'PATCH u3 W/"2"',
    ]  # fmt: skip


def test_versions_that_are_given_and_not_heeded_take_nothing_from_the_reading_around_a_write() -> None:
    provider = Provider(*map(user, (1, 2)), heeds=False)
    directory = opened(provider)
    read(provider, directory)
    assert results(write(directory, seat(1), seat(2))) == [Result.WRITTEN] * 2
    assert provider.said == ["GET u1", 'PATCH u1 W/"1"', "GET u1", "GET u2", 'PATCH u2 W/"1"', "GET u2"]


def test_without_versions_users_are_read_before_and_after_and_no_version_is_asked_for() -> None:
    provider = Provider(*map(user, (1, 2)), etag=False)
    directory = opened(provider)
    read(provider, directory)
    assert results(write(directory, seat(1), seat(2))) == [Result.WRITTEN] * 2
    assert provider.said == ["GET u1", "PATCH u1", "GET u1", "GET u2", "PATCH u2", "GET u2"]
    assert [(request.params, given(request)) for request in provider.writes] == [((), "")] * 2


def test_versions_of_a_server_that_speaks_of_none_are_not_used() -> None:
    provider = Provider(user(1), etag=False)
    provider.users["u1"]["meta"] = {"version": 'W/"5"'}
    assert only(provider).result is Result.WRITTEN
    assert provider.said == ["GET u1", "PATCH u1", "GET u1"]


def test_a_server_that_refuses_its_own_versions_is_not_written_to_without() -> None:
    provider = Provider(*map(user, (1, 2)))
    provider.meddle = lambda request: said({}, 412, request=request) if given(request) else None
    outcomes = write(opened(provider, settle_time=0), seat(1), seat(2))
    assert results(outcomes) == [Result.CONFLICT] * 2
    assert {outcome.why for outcome in outcomes} == {STALE}
    assert all(map(given, provider.writes))
    assert seats(provider) == [None, None]


def lagging(provider: Provider, *, reads: int, **theirs: Any) -> Meddler:
    """Somebody else writes to the second user just before us, and so many readings later show it as it was before."""
    before: list[Json] = []
    left = reads

    def meddle(request: Request) -> Answer | None:
        nonlocal left
        if request.path != "/Users/u2":
            return None
        if request.method == "PATCH" and given(request) and not before:
            before.append(provider.shown("u2"))
            provider.set("u2", **theirs)
        if request.method != "GET" or not before or not left:
            return None
        left -= 1
        return said(before[0], request=request, headers={"etag": before[0]["meta"]["version"]})

    return meddle


@pytest.mark.parametrize("demanded", [False, True], ids=["announced", "demanded"])
@pytest.mark.parametrize(
    ("reads", "theirs", "becomes", "held"),
    [
        (2, {"title": "Theirs"}, Result.WRITTEN, 8),
        (2, {CEC: {"workNo": 9}}, Result.CONFLICT, 9),
        (99, {"title": "Theirs"}, Result.CONFLICT, 7),
    ],
    ids=["in time", "in time, another seat", "for long"],
)
def test_one_reading_that_lags_takes_no_version_from_anybody(
    reads: int, theirs: Json, becomes: Result, held: int, *, demanded: bool
) -> None:
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2, 3)))
    lags = lagging(provider, reads=reads, **theirs)
    demands = demanding(provider) if demanded else lambda request: None
    provider.meddle = lambda request: lags(request) or demands(request)
    outcomes = write(opened(provider, settle_time=0.5), *(seat(number, "7", "8") for number in (1, 2, 3)))
    assert results(outcomes) == [Result.WRITTEN, becomes, Result.WRITTEN]
    assert (outcomes[1].why == STALE) is (reads == 99)
    assert seats(provider) == [8, held, 8]
    assert provider.users["u2"]["title"] == theirs.get("title", "Sample")
    assert all(map(given, provider.writes[1 if demanded else 0 :]))


def test_a_user_without_a_version_is_written_to_without_one_and_the_next_is_not() -> None:
    provider = Provider(*map(user, (1, 2)))

    def without(request: Request) -> Answer | None:
        if request.path != "/Users/u1" or request.method != "GET":
            return None
        return said({name: held for name, held in provider.shown("u1").items() if name != "meta"}, request=request)

    provider.meddle = without
    assert results(write(opened(provider), seat(1), seat(2))) == [Result.WRITTEN] * 2
    assert provider.said == ["GET u1", "PATCH u1", "GET u1", "GET u2", 'PATCH u2 W/"1"', "GET u2"]


@pytest.mark.parametrize("scanned", [True, False], ids=["read for the plan", "read just before"])
@pytest.mark.parametrize(
    ("theirs", "becomes", "seats_then"),
    [
        ({"title": "Theirs"}, Result.WRITTEN, 8),
        ({CEC: {"workNo": 9}}, Result.CONFLICT, 9),
        ({CEC: {"workNo": 8}}, Result.CONFLICT, 8),
        ({CEC: None}, Result.CONFLICT, None),
    ],
    ids=["something else", "this", "the same", "taken away"],
)
def test_whoever_is_written_to_by_somebody_else_meanwhile_is_compared_again(
    theirs: Json, becomes: Result, seats_then: int | None, *, scanned: bool
) -> None:
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2)))
    directory = opened(provider)
    if scanned:
        read(provider, directory)
    provider.meddle = once(others(provider, **theirs), skip=1)
    assert results(write(directory, seat(1, "7", "8"), seat(2, "7", "8"))) == [Result.WRITTEN, becomes]
    assert seats(provider) == [8, seats_then]
    assert provider.users["u2"]["title"] == theirs.get("title", "Sample")
    again = ["GET u2", 'PATCH u2 W/"2"', "GET u2"] if becomes is Result.WRITTEN else ["GET u2"]
    assert provider.said[provider.said.index('PATCH u2 W/"1"') + 1 :] == again


@pytest.mark.parametrize(("times", "becomes"), [(4, Result.WRITTEN), (5, Result.CONFLICT)])
def test_after_five_races_it_is_a_conflict(times: int, becomes: Result) -> None:
    provider = Provider(user(1))
    provider.meddle = once(others(provider, title="Theirs"), times=times)
    outcome = only(provider)
    assert outcome.result is becomes
    assert ("5 times" in outcome.why) is (becomes is Result.CONFLICT)
    assert len(provider.writes) == 5
    assert seats(provider) == [8 if becomes is Result.WRITTEN else None]


@pytest.mark.parametrize("status", [429, 503])
def test_a_write_that_a_busy_server_did_all_the_same_is_written(status: int) -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.answer(request)
        return said({}, status, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider)
    assert outcome.result is Result.WRITTEN
    assert len(provider.writes) == 1
    assert outcome.shown is not None
    assert outcome.shown.values[SEAT] == ("8",)


@pytest.mark.parametrize(("status", "unknown"), [(429, False), (503, True)])
def test_a_write_that_may_have_been_done_is_not_known_where_the_server_is_gone_then(status: int, unknown: bool) -> None:
    """A proxy says 503 as well where the server behind it has gone in the middle of a write."""
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.meddle = failing(UnreachableError("gone"))
        return said({}, status, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider)
    assert (outcome.result, outcome.unknown) == (Result.FAILED if unknown else Result.SKIPPED, unknown)


@pytest.mark.parametrize("status", [429, 503])
def test_a_write_that_the_server_was_too_busy_for_is_compared_again_and_made(status: int) -> None:
    provider = Provider(user(1), etag=False)
    provider.meddle = once(lambda request: said({}, status, request=request))
    assert only(provider).result is Result.WRITTEN
    assert provider.said == ["GET u1", "PATCH u1", "GET u1", "PATCH u1", "GET u1"]


def test_a_write_that_the_server_was_too_busy_for_is_a_conflict_if_the_user_has_changed() -> None:
    provider = Provider(user(1), etag=False)

    def meddle(request: Request) -> Answer:
        provider.set("u1", **{CEC: {"workNo": 9}})
        return said({}, 429, request=request)

    provider.meddle = once(meddle)
    assert only(provider).result is Result.CONFLICT
    assert seats(provider) == [9]


def test_a_user_that_is_replaced_whole_is_read_again_after_a_pause() -> None:
    provider = Provider(user(1), patch=False, etag=False, published=schemas(hidden=False))

    def meddle(request: Request) -> Answer:
        provider.set("u1", title="Theirs")
        return said({}, 429, request=request)

    provider.meddle = once(meddle, "PUT")
    assert only(provider).result is Result.WRITTEN
    assert provider.users["u1"]["title"] == "Theirs"


# ---------------------------------------------------------------- versions that are demanded


def demanding(provider: Provider, *, shown: str = "both", heeds: bool = True) -> Meddler:
    """It announces no versions and answers 428 to a write that names none (RFC 6585 §3); reading shows one, perhaps."""

    def meddle(request: Request) -> Answer | None:
        if request.path == "/ServiceProviderConfig":
            return said({"patch": {"supported": True}, "etag": {"supported": False}}, request=request)
        if request.method in {"PATCH", "PUT"}:
            if not given(request):
                return said({"status": "428"}, 428, request=request)
            return None if heeds else said({}, 412, request=request)
        if request.method != "GET" or not request.path.startswith("/Users/"):
            return None
        user = provider.shown(request.path[7:])
        headers = {"etag": user["meta"]["version"]} if shown in {"both", "header"} else {}
        meta = user["meta"] if shown in {"both", "meta"} else {}
        return said(user | {"meta": meta}, request=request, headers=headers)

    return meddle


@pytest.mark.parametrize("shown", ["both", "header", "meta"])
def test_a_server_that_demands_versions_gets_them_with_every_write_once_it_has_said_so(shown: str) -> None:
    provider = Provider(*map(user, (1, 2, 3)))
    provider.meddle = demanding(provider, shown=shown)
    directory = opened(provider)
    read(provider, directory)
    assert results(write(directory, *map(seat, (1, 2, 3)))) == [Result.WRITTEN] * 3
    sent = [each for each in provider.said if each.startswith("PATCH")]
    assert sent == ["PATCH u1", 'PATCH u1 W/"1"', 'PATCH u2 W/"1"', 'PATCH u3 W/"1"']
    assert seats(provider) == [8, 8, 8]


def test_what_the_plan_believes_is_held_to_the_reading_that_gave_the_version() -> None:
    """Somebody else writes between the refusal and the second reading, and between that and the write."""
    provider = Provider(*(user(number, **{CEC: {"workNo": 7}}) for number in (1, 2)))
    demands = demanding(provider)
    refused: list[Request] = []

    def meddle(request: Request) -> Answer | None:
        answer = demands(request)
        if request.method == "PATCH" and not given(request):
            provider.set("u1", **{CEC: {"workNo": 9}})
        elif given(request) == 'W/"1"' and request.path == "/Users/u2" and not refused:
            refused.append(request)
            provider.set("u2", **{CEC: {"workNo": 9}})
        return answer

    provider.meddle = meddle
    assert results(write(opened(provider), seat(1, "7", "8"), seat(2, "7", "8"))) == [Result.CONFLICT] * 2
    assert refused
    assert seats(provider) == [9, 9]


def test_a_server_that_demands_versions_and_shows_none_has_refused() -> None:
    provider = Provider(*map(user, (1, 2)))
    provider.meddle = demanding(provider, shown="none")
    outcomes = write(opened(provider), seat(1), seat(2))
    assert results(outcomes) == [Result.FAILED] * 2
    assert {outcome.why for outcome in outcomes} == {
        "refused: 428 Precondition Required; it demands a version (If-Match), and shows none that it takes"
    }
    assert seats(provider) == [None, None]


def test_a_server_that_demands_versions_and_refuses_its_own_is_a_conflict_for_each() -> None:
    provider = Provider(*map(user, (1, 2)))
    provider.meddle = demanding(provider, heeds=False)
    outcomes = write(opened(provider, settle_time=0), seat(1), seat(2))
    assert [outcome.why for outcome in outcomes] == [STALE] * 2
    assert seats(provider) == [None, None]


def test_users_that_are_replaced_whole_have_their_version_named_where_that_is_demanded() -> None:
    provider = Provider(user(1), published=schemas(hidden=False))
    demands = demanding(provider)

    def meddle(request: Request) -> Answer | None:
        if request.path == "/ServiceProviderConfig":
            return said({"patch": {"supported": False}}, request=request)
        return demands(request)

    provider.meddle = meddle
    assert only(provider).result is Result.WRITTEN
    assert provider.said[:4] == ["GET u1", "PUT u1", "GET u1", 'PUT u1 W/"1"']


# ---------------------------------------------------------------- disabled users


def test_a_change_is_for_a_user_that_is_as_active_as_when_it_was_planned() -> None:
    """Whoever was enabled or disabled since is another matter, though a job may clear disabled users."""
    provider = Provider(*(user(number, active=number in (1, 2), **{CEC: {"workNo": 7}}) for number in (1, 2, 3, 4)))
    directory = opened(provider, View((SEAT,), disabled=True), filter="active eq true")
    clears = [replace(seat(number, "7", ""), disabled=number in (2, 3)) for number in (1, 2, 3, 4)]
    outcomes = write(directory, *clears)
    assert results(outcomes) == [Result.WRITTEN, Result.CONFLICT, Result.WRITTEN, Result.CONFLICT]
    assert seats(provider) == [None, 7, None, 7]


# ---------------------------------------------------------------- what lists say


def sparse(provider: Provider, *names: str) -> Meddler:
    """Lists leave these attributes out; whoever asks for one user is shown them."""

    def meddle(request: Request) -> Answer | None:
        if request.path != "/Users":
            return None
        page = json.loads(provider.answer(request).body)
        for each in page["Resources"]:
            for name in names:
                each.pop(name, None)
        return said(page, request=request)

    return meddle


def test_that_nothing_is_to_change_is_not_believed_of_a_list() -> None:
    provider = Provider(user(1), user(2, **{CEC: {"workNo": 7}}))
    directory = opened(provider)
    read(provider, directory)
    provider.set("u2", **{CEC: {"workNo": 9}})
    assert results(write(directory, seat(1), seat(2, "7", "7"))) == [Result.WRITTEN, Result.CONFLICT]


def test_what_a_list_leaves_out_of_one_who_was_written_to_is_no_change_of_the_servers() -> None:
    provider = Provider(*map(user, (1, 2, 3)))
    provider.meddle = sparse(provider, "title")
    directory = opened(provider)
    read(provider, directory)
    outcomes = write(directory, seat(1), seat(2), seat(3))
    assert results(outcomes) == [Result.WRITTEN] * 3
    assert {outcome.why for outcome in outcomes} == {""}
    assert directory.describe().cautions == ()
    assert all(outcome.shown is not None for outcome in outcomes)


# ---------------------------------------------------------------- what a yes has come to

Act = Callable[[Provider], None]


def beside(act: Act) -> Callable[[Provider], Meddler]:
    """A write is done, and something else with it, before it is answered."""

    def of(provider: Provider) -> Meddler:
        def meddle(request: Request) -> Answer:
            assert provider.answer(request).status < 300
            act(provider)
            return said(provider.shown("u1"), request=request)

        return once(meddle)

    return of


def setting(**values: Any) -> Act:
    return lambda provider: provider.set("u1", **values)


FULL = user(
    1,
    phoneNumbers=[{"type": "work", "value": "1"}, {"type": "home", "value": "2"}],
    tags=["a", "b"],
    nickName=None,
    displayName="Example P",
    stamp="set",
    groups=[{"value": "g"}],
    name={"formatted": "Example P", "givenName": "Example", "familyName": "Person 1", "honorificSuffix": ""},
    **{"urn:example:note": "n", CEC: {"workNo": 7, "accountCode": "anna"}},
)
PHONE = AttributeChange('phoneNumbers[type eq "work"].value', ("1",), ("9",), pattern="*")
TAGS = AttributeChange("tags", ("a", "b"), ("a", "c"), pattern="*")
MIDDLE = AttributeChange("name.middleName", (), ("M",))
SEVENTH = AttributeChange(SEAT, ("7",), ("8",))
SHOWN = AttributeChange("displayName", ("Example P",), ("New",))


@pytest.mark.parametrize("etag", [True, False])
@pytest.mark.parametrize(
    ("planned", "act", "named"),
    [
        (SEVENTH, setting(title=None), "title"),
        (SEVENTH, setting(title=None, active=None), "active, title"),
        (SEVENTH, setting(emails=[]), "emails"),
        (SEVENTH, setting(phoneNumbers=[{"type": "work", "value": "1"}]), "phonenumbers"),
        (SEVENTH, setting(**{CEC: {"workNo": 8}}), f"{CEC.lower()}:accountcode"),
        (SEVENTH, setting(**{CEC: None}), f"{CEC.lower()}:accountcode"),
        (PHONE, setting(phoneNumbers=[{"type": "work", "value": "9"}]), "phonenumbers"),
        (PHONE, setting(phoneNumbers=[{"type": "work", "value": "9"}, {"type": "car", "value": "2"}]), "phonenumbers"),
        (PHONE, setting(phoneNumbers=[]), "phonenumbers"),
        (TAGS, setting(tags=["c"]), "tags"),
        (MIDDLE, setting(name={"middleName": "M", "givenName": "Example"}), "name.familyname"),
        (MIDDLE, setting(name=None), "name.familyname, name.givenname"),
        (MIDDLE, setting(name="M"), "name.familyname, name.givenname"),
        (SEVENTH, setting(**{"urn:example:note": None}), "urn:example:note"),
    ],
)  # fmt: skip
def test_a_server_that_takes_away_more_than_it_was_told_is_named_with_what_is_gone(
    planned: AttributeChange, act: Act, named: str, *, etag: bool
) -> None:
    provider = Provider(FULL, etag=etag, published=with_stamp())
    provider.meddle = beside(act)(provider)
    outcome = only(provider, planned)
    assert (outcome.result, outcome.may_stand) == (Result.FAILED, True)
    assert outcome.why == f"{LOST}: {named}"
    assert "GET" not in provider.said, "lists have nothing to do with it"


def test_what_a_server_says_nothing_about_is_not_the_servers_alone() -> None:
    core, *rest = schemas()
    unsaid = [attribute | {"mutability": None} for attribute in core["attributes"]]
    provider = Provider(user(1), published=[core | {"attributes": unsaid}, *rest])
    provider.meddle = beside(setting(title=None))(provider)
    assert only(provider).why == f"{LOST}: title"


@pytest.mark.parametrize(("read_only", "noted"), [(True, ""), (False, NOTE.format(names="name.middlename"))])
def test_a_part_that_is_the_servers_alone_may_change_and_no_other(read_only: bool, noted: str) -> None:
    published = json.loads(json.dumps(schemas()))
    (name,) = (each for each in published[0]["attributes"] if each["name"] == "name")
    (middle,) = (each for each in name["subAttributes"] if each["name"] == "middleName")
    middle["mutability"] = "readOnly" if read_only else "readWrite"
    named = user(1)["name"] | {"middleName": "A"}
    provider = Provider(user(1, name=named), published=published)
    provider.meddle = beside(setting(name=named | {"middleName": "B"}))(provider)
    outcome = only(provider)
    assert (outcome.result, outcome.why) == (Result.WRITTEN, noted)


def test_the_only_element_of_a_list_may_not_go_with_the_list() -> None:
    provider = Provider(user(1, tags=["a"]))
    provider.meddle = beside(setting(tags=None))(provider)
    assert only(provider).why == f"{LOST}: tags"


@pytest.mark.parametrize(
    ("said_of_the_value", "emails", "why"),
    [
        ({"mutability": "readOnly"}, [], f"{LOST}: emails"),
        ({"caseExact": False}, [{"type": "work", "value": "AGENT001@example.org"}], ""),
        ({"caseExact": True}, [{"type": "work", "value": "AGENT001@example.org"}], NOTE.format(names="emails")),
    ],
)
def test_elements_are_compared_as_their_values_are_and_may_not_go(
    said_of_the_value: Json, emails: list[Json], why: str
) -> None:
    published = json.loads(json.dumps(schemas()))
    (attribute,) = (each for each in published[0]["attributes"] if each["name"] == "emails")
    attribute["subAttributes"][0] |= said_of_the_value
    provider = Provider(user(1), published=published)
    provider.meddle = beside(setting(emails=emails))(provider)
    assert only(provider).why == why


def test_a_name_that_was_made_of_what_was_written_over_may_go_with_it() -> None:
    provider = Provider(user(1, nickName="Annie", displayName="Annie"))
    provider.meddle = beside(setting(displayName=None))(provider)
    outcome = only(provider, AttributeChange("nickName", ("Annie",), ("Ann",)))
    assert (outcome.result, outcome.why) == (Result.WRITTEN, NOTE.format(names="displayname"))


@pytest.mark.parametrize(("come", "lost"), [(("c",), True), (("c", "d"), False)])
def test_an_element_that_has_come_stands_for_one_that_is_gone(come: tuple[str, ...], *, lost: bool) -> None:
    def emails(*values: str) -> list[Json]:
        return [{"type": "work", "value": f"{value}@example.org"} for value in values]

    provider = Provider(user(1, emails=emails("a", "b")))
    provider.meddle = beside(setting(emails=emails(*come)))(provider)
    outcome = only(provider)
    assert outcome.why == (f"{LOST}: emails" if lost else NOTE.format(names="emails"))


def test_a_part_that_said_what_was_written_over_beside_it_may_go_with_it() -> None:
    provider = Provider(user(1, name={"familyName": "P", "middleName": "A", "givenName": "A"}))
    provider.meddle = beside(setting(name={"familyName": "P", "middleName": "B"}))(provider)
    outcome = only(provider, AttributeChange("name.middleName", ("A",), ("B",)))
    assert (outcome.result, outcome.why) == (Result.WRITTEN, NOTE.format(names="name.givenname"))


def test_a_name_that_was_made_of_a_typed_value_may_go_with_it() -> None:
    provider = Provider(user(1, displayName="1", phoneNumbers=FULL["phoneNumbers"]), published=with_stamp())
    provider.meddle = beside(setting(displayName=None))(provider)
    outcome = only(provider, PHONE)
    assert (outcome.result, outcome.why) == (Result.WRITTEN, NOTE.format(names="displayname"))


def test_a_part_that_was_written_is_no_change_beside_the_write() -> None:
    provider = Provider(user(1, name={"familyName": "P", "middleName": "A"}))
    outcome = only(provider, AttributeChange("name.middleName", ("A",), ("B",)))
    assert (outcome.result, outcome.why) == (Result.WRITTEN, "")


def test_a_value_whose_parts_are_all_the_servers_alone_may_go() -> None:
    published = json.loads(json.dumps(schemas()))
    (name,) = (each for each in published[0]["attributes"] if each["name"] == "name")
    for part in name["subAttributes"]:
        part["mutability"] = "readOnly"
    provider = Provider(user(1), published=published)
    provider.meddle = beside(setting(name=None))(provider)
    outcome = only(provider)
    assert (outcome.result, outcome.why) == (Result.WRITTEN, "")


def test_of_a_complex_value_that_was_not_there_nothing_is_lost() -> None:
    bare = {name: held for name, held in user(1).items() if name != "name"}
    provider = Provider(bare)
    provider.meddle = beside(setting(name="M"))(provider)
    assert only(provider, MIDDLE).result is Result.WRITTEN


def test_a_value_that_is_gone_is_not_derived_because_it_says_what_was_taken_away_elsewhere() -> None:
    provider = Provider(user(1, nickName="Sample"))
    provider.meddle = beside(setting(title=None))(provider)
    outcome = only(provider, AttributeChange("nickName", ("Sample",), ()))
    assert (outcome.result, outcome.why) == (Result.FAILED, f"{LOST}: title")


@pytest.mark.parametrize("etag", [True, False])
@pytest.mark.parametrize(
    ("planned", "act", "named"),
    [
        (SEVENTH, setting(title="Other"), "title"),
        (SEVENTH, setting(title="Other", active=False), "active, title"),
        (SEVENTH, setting(displayName="X"), "displayname"),
        (SEVENTH, setting(**{CEC: {"workNo": 8, "accountCode": "anna", "x": "1"}}), f"{CEC.lower()}:x"),
        (SEVENTH, setting(**{"urn:example:note": "m"}), "urn:example:note"),
        (SEVENTH, setting(name=FULL["name"] | {"formatted": "P"}), "name.formatted"),
        (SEVENTH, setting(name=FULL["name"] | {"honorificPrefix": "Dr."}), "name.honorificprefix"),
        (SEVENTH, setting(emails=[{"value": "other@example.org", "type": "work"}]), "emails"),
        (SEVENTH, setting(tags=["a", "b", "c"]), "tags"),
        (PHONE, setting(phoneNumbers=[{"type": "work", "value": "9"}, {"type": "home", "value": "3"}]), "phonenumbers"),
        (MIDDLE, setting(name={"middleName": "M", "givenName": "E", "familyName": "Person 1"}), "name.givenname"),
        (SHOWN, setting(name={"givenName": "Example", "familyName": "Person 1"}, displayName="New"), "name.formatted"),
        (SEVENTH, setting(title="SAMPLE", tags=["b", "a"], emails=[{"type": "work", "value": "AGENT001@example.org"}]),
         ""),
        (SEVENTH, setting(phoneNumbers=[{"type": "HOME", "value": "2"}, {"type": "work", "value": "1"}]), ""),
        (SEVENTH, setting(stamp="moved", groups=[]), ""),
        (SEVENTH, setting(title="Sample", nickName=""), ""),
        (SEVENTH, setting(title=["Sample"]), ""),
        (MIDDLE, setting(name={"middleName": "m", "givenName": "Example", "familyName": "Person 1"}), ""),
        (SEVENTH, setting(meta={"x": 1}, schemas=["urn:x"], emptied=[], gone={}), ""),
        (SEVENTH, setting(schemas=[], SCHEMAS=["urn:x"]), ""),
        (SEVENTH, setting(**{CEC: None, CEC.upper(): {"WORKNO": 8, "ACCOUNTCODE": "anna", "sipAccount": ""}}), ""),
        (PHONE, setting(phoneNumbers=[
            {"type": "home", "value": "2", "primary": True}, {"TYPE": "Work", "Value": "9"}, {"type": "fax"},
        ]), ""),
        (TAGS, setting(tags=["c", "d", "a"]), ""),
        (MIDDLE, setting(name={
            "middlename": "M", "givenName": "Example", "FAMILYNAME": "Person 1", "formatted": "Example M Person 1",
            "honorificPrefix": "", "honorificSuffix": "X",
        }), ""),
    ],
)  # fmt: skip
def test_a_server_that_changes_more_than_it_was_told_has_written_and_what_it_changed_is_noted(
    planned: AttributeChange, act: Act, named: str, *, etag: bool
) -> None:
    """What servers make up of what they were told (the formatted name, other elements of a list) is no change.

    Nor is what is theirs alone (`readOnly`), another order, or another spelling that the attribute takes for equal.
    """
    provider = Provider(FULL, etag=etag, published=with_stamp())
    provider.meddle = beside(act)(provider)
    outcome = only(provider, planned)
    assert outcome.result is Result.WRITTEN
    assert outcome.why == (NOTE.format(names=named) if named else "")
    assert "GET" not in provider.said, "lists have nothing to do with it"


def with_stamp() -> list[Json]:
    """Schemas with two attributes that are the server's alone."""
    core, *rest = schemas()
    own = [{"name": name, "multiValued": name == "groups", "mutability": "readOnly"} for name in ("stamp", "groups")]
    return [core | {"attributes": [*core["attributes"], *own]}, *rest]


def test_what_changes_with_every_write_is_noted_once_for_each_attribute() -> None:
    provider = Provider(*map(user, (1, 2, 3, 4)))

    def meddle(request: Request) -> Answer | None:
        if request.method != "PATCH":
            return None
        id_ = request.path[7:]
        provider.answer(request)
        more = {"nickName": "x"} if id_ == "u3" else {}
        provider.set(id_, title=f"stamp of {id_}", **more)
        return said(provider.shown(id_), request=request)

    provider.meddle = meddle
    directory = opened(provider)
    read(provider, directory)
    outcomes = write(directory, *map(seat, (1, 2, 3, 4)))
    assert results(outcomes) == [Result.WRITTEN] * 4
    notes = [outcome.why for outcome in outcomes]
    assert notes == [NOTE.format(names="title"), "", NOTE.format(names="nickname"), ""]
    counted = "other values changed with the writes: nickname of 1 user, title of 4 users"
    assert directory.describe().cautions == (f"{counted}. Check whether the server overwrites them",)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_list_that_comes_in_another_order_was_not_touched_by_a_refused_write(order: tuple[str, str]) -> None:
    provider = Provider(user(1, tags=["a", "b"]))

    def meddle(request: Request) -> Answer:
        provider.set("u1", tags=list(order))
        return said({}, 403, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider, TAGS, SEVENTH_FROM_NONE)
    granting = (
        "grant the job's account, and the scope of its token, the right to write tags, workNo (PATCH /Users/{id})"
    )
    assert (outcome.result, outcome.why) == (Result.FAILED, f"refused: 403 Forbidden; {granting}")
    assert not outcome.may_stand


@pytest.mark.parametrize(("title", "lost"), [("Other", False), ("", True)])
def test_a_user_that_is_replaced_whole_and_loses_a_value_by_it_is_found(title: str, *, lost: bool) -> None:
    provider = Provider(user(1), patch=False, published=schemas(hidden=False))

    def meddle(request: Request) -> Answer:
        provider.answer(request)
        provider.set("u1", title=title)
        return said(provider.shown("u1"), request=request)

    provider.meddle = once(meddle, "PUT")
    outcome = only(provider)
    assert outcome.result is (Result.FAILED if lost else Result.WRITTEN)
    assert outcome.why == (f"{LOST}: title" if lost else NOTE.format(names="title"))


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"<html>", b'{"id": "u1"}', b'{"id": "u2", "userName": "agent001"}', b'{"userName": "agent001"}'],
)
def test_an_answer_that_does_not_show_the_user_is_no_answer_to_what_has_become_of_it(content: bytes) -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.answer(request)
        return Answer(200, {}, content, request.path)

    provider.meddle = once(meddle)
    outcome = only(provider)
    assert outcome == Outcome(outcome.user, Result.WRITTEN, shown=User("u1", "agent001", {
        "userName": ("agent001",), SEAT: ("8",)
    }))  # fmt: skip
    assert not outcome.answered


@pytest.mark.parametrize("etag", [True, False])
@pytest.mark.parametrize("after", ["gone", "unreadable", "out of the filter"])
def test_a_user_that_is_not_shown_after_a_yes_is_written_and_still_to_be_read_back(after: str, *, etag: bool) -> None:
    provider = Provider(user(1), etag=etag, shows=False)

    def meddle(request: Request) -> Answer:
        answer = provider.answer(request)
        if after == "gone":
            del provider.users["u1"]
        elif after == "unreadable":
            provider.meddle = failing(IncompleteRead("?"))
        else:
            provider.set("u1", active=False)
        return answer

    provider.meddle = once(meddle)
    outcome = only(provider, filter="active eq true")
    assert (outcome.result, outcome.why, outcome.shown) == (Result.WRITTEN, "", None)


def test_an_answer_out_of_the_filter_shows_nobody() -> None:
    provider = Provider(user(1))
    changed = AttributeChange("active", ("TRUE",), ("FALSE",))
    outcome = only(provider, changed, filter="active eq true")
    assert (outcome.result, outcome.shown) == (Result.WRITTEN, None)
    assert provider.stored("u1")["active"] is False


def test_what_was_done_in_part_before_it_was_refused_is_not_said_to_be_of_another_version() -> None:
    """The refusal counts, and not that the version has changed by then, which was our own doing."""
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.set("u1", nickName="x")
        return said({"scimType": "invalidValue"}, 400, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider, NAMED, SEVENTH_FROM_NONE)
    assert outcome.result is Result.FAILED
    assert "invalidValue" in outcome.why
    assert outcome.why.endswith("; its partial change was undone")
    assert len(provider.writes) == 2
    assert "nickName" not in provider.users["u1"]


def test_what_was_done_in_part_before_another_form_was_asked_for_is_not_said_to_be_of_another_version() -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.set("u1", nickName="x")
        return said({"detail": "op must be one of 'Add', 'Replace'", "scimType": "invalidSyntax"}, 400, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider, NAMED, SEVENTH_FROM_NONE)
    assert outcome.result is Result.FAILED
    assert "invalidSyntax" in outcome.why
    assert outcome.why.endswith("; its partial change was undone")
    assert "nickName" not in provider.users["u1"]


SEVENTH_FROM_NONE = AttributeChange(SEAT, (), ("7",))


# ---------------------------------------------------------------- what a no has come to


@pytest.mark.parametrize("status", [404, 410])
def test_a_user_that_is_gone_when_it_is_written_to_is_a_conflict(status: int) -> None:
    provider = Provider(user(1))
    provider.meddle = once(lambda request: said({}, status, request=request))
    outcome = only(provider)
    assert (outcome.result, outcome.why) == (Result.CONFLICT, "the user is gone")


@pytest.mark.parametrize("status", [404, 410])
def test_a_user_that_is_gone_when_it_is_read_is_a_conflict_and_nothing_is_sent(status: int) -> None:
    provider = Provider(user(1))
    provider.meddle = once(lambda request: said({}, status, request=request), "GET")
    outcome = only(provider)
    assert outcome.result is Result.CONFLICT
    assert provider.said == ["GET u1"]


@pytest.mark.parametrize("status", [403, 409, 422, 499])
def test_a_refusal_of_one_attribute_has_done_nothing_and_says_its_kind(status: int) -> None:
    provider = Provider(user(1))
    document = {"scimType": "uniqueness", "detail": "canary"}
    provider.meddle = once(lambda request: said(document, status, request=request))
    outcome = only(provider, UNSEEN)
    assert (outcome.result, outcome.unknown) == (Result.FAILED, False)
    assert outcome.why.startswith(f"refused: {status}")
    assert outcome.why.endswith(", uniqueness")
    assert provider.said == ["GET u1", 'PATCH u1 W/"1"']


@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_what_was_done_of_several_attributes_before_a_refusal_is_taken_back_or_named(status: int, done: int) -> None:
    """Where the server has failed (5xx) it may go on: nothing is taken back. If all of it stands, it is written."""
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        if done:
            provider.set("u1", nickName="x")
        if done == 2:
            provider.set("u1", **{CEC: {"workNo": 7}})
        return said({}, status, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider, NAMED, SEVENTH_FROM_NONE)
    if status == 500 and done == 2:
        assert outcome.result is Result.WRITTEN
        assert outcome.shown is not None
        assert outcome.shown.values[SEAT] == ("7",)
        return
    assert (outcome.result, outcome.unknown) == (Result.FAILED, False)
    assert outcome.why.startswith(f"refused: {status}")
    assert outcome.why.endswith("; its partial change was undone") is (status == 403 and done > 0)
    assert outcome.why.endswith(", but nickName changed") is (status == 500 and done == 1)
    assert outcome.may_stand is (status == 500 and done == 1)
    assert ("nickName" in provider.users["u1"]) is (status == 500 and done == 1)
    assert seats(provider) == [None]


def test_what_somebody_else_wrote_just_before_a_refusal_is_left_and_named_and_ours_is_taken_back() -> None:
    provider = Provider(user(1, displayName="before"))

    def meddle(request: Request) -> Answer:
        provider.set("u1", nickName="theirs", displayName="new")
        return said({}, 403, request=request)

    provider.meddle = once(meddle)
    shown = AttributeChange("displayName", ("before",), ("new",))
    outcome = only(provider, NAMED, shown, SEVENTH_FROM_NONE)
    assert outcome.why.endswith(", but nickName changed")
    assert (provider.users["u1"]["nickName"], provider.users["u1"]["displayName"]) == ("theirs", "before")


def test_where_only_somebody_else_wrote_before_a_refusal_nothing_more_is_sent() -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.set("u1", nickName="theirs")
        return said({}, 403, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider, NAMED, SEVENTH_FROM_NONE)
    assert (outcome.may_stand, outcome.why.endswith(", but nickName changed")) == (True, True)
    assert len(provider.writes) == 1


@pytest.mark.parametrize("status", [403, 500])
def test_what_cannot_be_taken_back_is_named(status: int) -> None:
    """The server refuses that as well, or has failed by then."""
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer | None:
        if request.method != "PATCH":
            return None
        first = len(provider.writes) == 1
        if first:
            provider.set("u1", nickName="x")
        return said({}, 403 if first else status, request=request)

    provider.meddle = meddle
    assert only(provider, NAMED, SEVENTH_FROM_NONE).why.endswith(", but nickName changed")


@pytest.mark.parametrize("stands", [True, False])
def test_a_server_that_has_failed_at_one_attribute_is_looked_at(*, stands: bool) -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        if stands:
            provider.answer(request)
        return said({}, 500, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider)
    assert outcome.result is (Result.WRITTEN if stands else Result.FAILED)
    assert provider.said[-1] == "GET u1"


def test_a_user_that_is_gone_after_the_server_has_failed_has_not_been_emptied() -> None:
    provider = Provider(user(1, **{CEC: {"workNo": 7}}))

    def meddle(request: Request) -> Answer:
        del provider.users["u1"]
        return said({}, 500, request=request)

    provider.meddle = once(meddle)
    assert only(provider, *seat(1, "7", "").attributes).result is Result.FAILED


@pytest.mark.parametrize("gone", [True, False])
def test_a_refusal_of_several_that_cannot_be_looked_after_is_not_known(*, gone: bool) -> None:
    """Where nobody can be read, nobody knows, and nothing more is written; one who is gone stops no others."""
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.meddle = failing(UnreachableError("gone"))
        if gone:
            del provider.users["u1"]
            provider.meddle = lambda request: None
        return said({}, 500, request=request)

    provider.meddle = once(meddle)
    outcome = only(provider, NAMED, SEVENTH_FROM_NONE)
    assert (outcome.result, outcome.unknown, outcome.may_stand) == (Result.FAILED, not gone, gone)
    assert "perhaps written in part" in outcome.why


# ---------------------------------------------------------------- no answer


@pytest.mark.parametrize(
    ("done", "attributes", "becomes"),
    [
        (True, (), Result.WRITTEN),
        (False, (), Result.FAILED),
        (True, (UNSEEN,), Result.FAILED),
        (True, (SEVENTH_FROM_NONE, UNSEEN), Result.WRITTEN),
    ],
    ids=["done", "not done", "a secret", "a secret beside it"],
)
def test_a_write_whose_answer_is_lost_is_looked_for(
    attributes: tuple[AttributeChange, ...], becomes: Result, *, done: bool
) -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        if done:
            provider.answer(request)
        raise LostAnswerError("cut off")

    provider.meddle = once(meddle)
    outcome = only(provider, *attributes)
    assert (outcome.result, outcome.unknown) == (becomes, becomes is Result.FAILED)
    assert provider.said[-2:] == ['PATCH u1 W/"1"', "GET u1"]
    if becomes is Result.WRITTEN:
        assert outcome.shown is not None
        assert outcome.shown.values[SEAT] == ("7" if attributes else "8",)
    else:
        assert "it may have been written (cut off)" in outcome.why


@pytest.mark.parametrize("gone", [True, False])
def test_a_write_whose_answer_is_lost_and_that_cannot_be_looked_for_is_not_known(*, gone: bool) -> None:
    provider = Provider(user(1))

    def meddle(request: Request) -> Answer:
        provider.meddle = failing(UnreachableError("gone"))
        if gone:
            del provider.users["u1"]
            provider.meddle = lambda request: None
        raise LostAnswerError("cut off")

    provider.meddle = once(meddle)
    outcome = only(provider)
    assert (outcome.result, outcome.unknown) == (Result.FAILED, True)
    assert "cut off" in outcome.why


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("kind", [UnreachableError, UntrustedError, DeniedError, ImpatientError])
def test_what_nobody_answers_to_was_not_sent(kind: type[IncompleteRead], method: str) -> None:
    provider = Provider(*map(user, (1, 2)))
    provider.meddle = once(failing(kind("why")), method)
    first, second = write(opened(provider), seat(1), seat(2))
    assert (first.result, first.why, first.unknown) == (Result.SKIPPED, "not sent (why)", False)
    assert second.result is Result.WRITTEN


def test_a_user_that_cannot_be_read_has_failed_and_nothing_was_sent() -> None:
    provider = Provider(*map(user, (1, 2)))
    provider.meddle = once(failing(MalformedError("why")), "GET")
    first, second = write(opened(provider), seat(1), seat(2))
    assert (first.result, first.why) == (Result.FAILED, "not sent: the user could not be read (why)")
    assert second.result is Result.WRITTEN
    assert provider.said[0:2] == ["GET u1", "GET u2"]


# ---------------------------------------------------------------- many changes


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_changes_of_one_user_wait_for_those_before_them_and_each_has_its_outcome(at_once: int) -> None:
    provider = Provider(*map(user, (1, 2, 3)), etag=False)
    provider.at_once = at_once
    changes = [
        seat(1), seat(2), seat(1, "8", "9"), seat(1, "9", "10"), seat(3), seat(2, "8", "9"), seat(3, "7", "1"),
    ]  # fmt: skip
    outcomes = write(opened(provider), *changes)
    assert sorted(outcome.user for outcome in outcomes) == sorted(each.user for each in changes)
    assert sorted(results(outcomes)) == [Result.CONFLICT] + [Result.WRITTEN] * 6
    assert seats(provider) == [10, 9, 8]


def test_changes_are_drawn_no_sooner_than_they_can_be_sent() -> None:
    provider = Provider(*map(user, (1, 2, 3)), etag=False)
    drawn: list[int] = []

    def changes() -> Any:
        for number in (1, 2, 3):
            drawn.append(number)
            yield seat(number)

    outcomes = opened(provider).write(changes())
    assert next(outcomes).result is Result.WRITTEN
    assert drawn == [1]
    assert results(list(outcomes)) == [Result.WRITTEN] * 2
