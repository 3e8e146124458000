"""Users as SCIM servers show them: a pager that stands still, odd answers, schemas that say less or something else."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from connector.directories.scim.paging import UserPager
from connector.directories.scim.protocol import Answer, Params, Request
from connector.errors import DeniedError, FileError, IncompleteRead, MalformedError, TruncatedError
from connector.model import NAME, AttributeChange, Equality, Holds, Question, Result, Secret, UserRef, View
from tests.support.logs import logged
from tests.support.scim_provider import (
    ACCOUNT,
    CEC,
    CORE,
    LINE,
    PASSWORD,
    SEAT,
    Json,
    Provider,
    change,
    once,
    opened,
    said,
    schemas,
    user,
    write,
)

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

# ---------------------------------------------------------------- a pager that stands still


def by_cursor(lists: Callable[[int], list[str]], *, last: int | None = None) -> tuple[list[str], int, str]:
    """Whom a pager shows by cursor, how many pages it was asked for, and what was told, if it was not the end."""
    asked = 0

    def ask(params: Params) -> Answer:
        nonlocal asked
        asked += 1
        cursor = {} if asked == last else {"nextCursor": f"c{asked}"}
        return said({"Resources": [{"id": id_} for id_ in lists(asked - 1)]} | cursor)

    shown: list[str] = []
    try:
        shown.extend(each["id"] for each in UserPager(ask, 2).read_by_cursor())
    except TruncatedError as fault:
        return shown, asked, str(fault)
    return shown, asked, ""


@pytest.mark.parametrize("pages", [1, 2, 3, 4, 5, 7, 8, 9, 31, 100])
def test_pages_that_come_round_are_noticed_before_they_have_come_round_four_times(pages: int) -> None:
    """Whatever their number; of a few users, when a hundred have been shown."""
    _, asked, told = by_cursor(lambda page: [f"u{page % pages}", f"v{page % pages}"])
    assert "stands still" in told
    assert asked <= 4 * pages + 50


def test_pages_that_come_round_are_noticed_where_every_other_one_is_empty() -> None:
    _, asked, told = by_cursor(lambda page: [] if page % 2 else ["a"])
    assert "stands still" in told
    assert asked <= 2 * 100


def test_pages_that_show_a_part_of_a_page_again_stand_still() -> None:
    _, asked, told = by_cursor(lambda page: ["a", "b"] if page == 0 else ["b"])
    assert (asked < 100, "stands still" in told) == (True, True)


def test_the_last_page_may_show_what_was_shown_before() -> None:
    """The server says that it is the last, so that nothing stands still."""
    assert by_cursor(lambda page: ["a", "b"], last=2) == (["a", "b", "a", "b"], 2, "")


def test_many_pages_are_no_circle_and_a_few_empty_ones_no_end() -> None:
    shown, asked, told = by_cursor(lambda page: [] if page % 3 else [f"u{page}"], last=3000)
    assert (len(shown), asked, told) == (1000, 3000, "")


@pytest.mark.parametrize(("empty", "told"), [(1000, False), (1001, True)])
def test_a_thousand_empty_pages_running_are_the_most(empty: int, *, told: bool) -> None:
    _, _, why = by_cursor(lambda page: [f"u{page}"] if page in {0, empty + 1} else [], last=empty + 2)
    assert ("stands still" in why) is told


def test_a_cursor_that_is_the_same_again_stands_still() -> None:
    asked: list[Params] = []

    def ask(params: Params) -> Answer:
        asked.append(params)
        return said({"Resources": [{"id": f"u{len(asked)}"}], "nextCursor": "same"})

    with pytest.raises(TruncatedError, match="stands still after 2 users"):
        list(UserPager(ask, 2).read_by_cursor())
    assert asked == [(("cursor", ""), ("count", "2")), (("cursor", "same"), ("count", "2"))]


@pytest.mark.parametrize("status", [400, 500, 501])
def test_a_server_that_bears_no_count_is_asked_without_from_then_on(status: int) -> None:
    asked: list[Params] = []
    pages = iter([["a", "b"], ["b", "c"], ["c"]])

    def ask(params: Params) -> Answer:
        asked.append(params)
        if dict(params).get("count"):
            return said({}, status)
        return said({"totalResults": 3, "Resources": [{"id": id_} for id_ in next(pages)]})

    assert [each["id"] for each in UserPager(ask, 2).read_by_index()] == ["a", "b", "c"]
    assert asked == [
        (("startIndex", "1"), ("count", "2")), (("startIndex", "1"),), (("startIndex", "2"),), (("startIndex", "3"),),
    ]  # fmt: skip


def test_a_refusal_is_no_matter_of_count_where_none_is_sent_any_more() -> None:
    asked: list[Params] = []
    answers = iter([said({}, 500), said({"totalResults": 2, "Resources": [{"id": "a"}]}), said({}, 500)])

    def ask(params: Params) -> Answer:
        asked.append(params)
        return next(answers)

    with pytest.raises(IncompleteRead):
        list(UserPager(ask, 2).read_by_index())
    assert [dict(params).get("count") for params in asked] == ["2", None, None]


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_server_that_refuses_with_and_without_count_has_refused(status: int) -> None:
    asked: list[Params] = []

    def ask(params: Params) -> Answer:
        asked.append(params)
        return said({}, status)

    kind = DeniedError if status == 403 else IncompleteRead
    with pytest.raises(kind, match=f"{status}") as fault:
        list(UserPager(ask, 2).read_by_index())
    assert type(fault.value) is kind
    assert len(asked) == (2 if status == 400 else 1)


def test_an_index_that_answers_the_same_page_again_stands_still() -> None:
    asked = itertools.count()

    def ask(params: Params) -> Answer:
        assert next(asked) < 9
        return said({"totalResults": 4, "Resources": [{"id": "a"}, {"id": "b"}]})

    with pytest.raises(TruncatedError, match="stands still: it answers the same page again"):
        list(UserPager(ask, 2).read_by_index())


@pytest.mark.parametrize("total", [None, 1_000_000])
@pytest.mark.parametrize("pages", [3, 5, 16, 31])
def test_by_index_pages_that_come_round_are_noticed_in_every_pass(pages: int, total: int | None) -> None:
    asked = itertools.count()

    def ask(params: Params) -> Answer:
        page = next(asked) % pages
        return said({"totalResults": total, "Resources": [{"id": f"u{page}"}, {"id": f"v{page}"}]})

    with pytest.raises(TruncatedError, match="added, removed or reordered"):
        list(UserPager(ask, 2).read_by_index())
    assert next(asked) <= 3 * (4 * pages + 50)


def test_a_server_that_counts_in_whole_pages_is_read_once() -> None:
    asked: list[str] = []

    def ask(params: Params) -> Answer:
        asked.append(dict(params)["startIndex"])
        start = int(asked[-1]) - 1
        some = [{"id": f"u{number}"} for number in range(7)][start - start % 3 :][:3]
        return said({"totalResults": 7, "Resources": some})

    assert [each["id"] for each in UserPager(ask, 3).read_by_index()] == [f"u{number}" for number in range(7)]
    assert asked == ["1", "3", "4", "7", "8"]


def test_a_list_that_is_shorter_than_it_says_is_read_once_and_told() -> None:
    asked: list[str] = []

    def ask(params: Params) -> Answer:
        asked.append(dict(params)["startIndex"])
        start = int(asked[-1]) - 1
        some = [{"id": f"u{number}"} for number in range(4)][start:][:3]
        return said({"totalResults": 5, "Resources": some})

    with pytest.raises(TruncatedError, match="reports 5 users and shows 4"):
        list(UserPager(ask, 3).read_by_index())
    assert len(asked) == len(set(asked))


def test_a_number_of_users_holds_though_an_empty_page_behind_them_says_none() -> None:
    whole = {"totalResults": 5, "Resources": [{"id": "a"}, {"id": "b"}]}  # it counts in whole pages
    pages = iter([whole, whole, {"Resources": []}])
    with pytest.raises(TruncatedError, match="reports 5 users and shows 2"):
        list(UserPager(lambda params: said(next(pages)), 2).read_by_index())


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_refusal_of_a_page_that_begins_with_a_user_who_was_shown_is_told(status: int) -> None:
    answers = iter([said({"totalResults": 2, "Resources": [{"id": "a"}, {"id": "b"}]}), said({}, status)])
    with pytest.raises(IncompleteRead, match=f"{status}"):
        list(UserPager(lambda params: next(answers), 2).read_by_index())


def test_a_page_that_names_one_user_twice_is_no_page() -> None:
    with pytest.raises(IncompleteRead, match="names one user twice on one page"):
        list(UserPager(lambda params: said({"Resources": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}), 2).read_by_index())


def test_a_server_that_speaks_of_no_cursors_is_read_by_index() -> None:
    provider = Provider(*map(user, range(1, 8)))
    directory = opened(provider, page_size=3)
    assert directory.size() == 7
    assert len(provider.asked) == 1
    provider.asked.clear()
    assert [found.id for found in directory.scan()] == [f"u{number}" for number in range(1, 8)]
    assert [dict(request.params) for request in provider.asked] == [
        {"startIndex": start, "count": "3"} for start in ("1", "3", "5", "7")
    ]
    assert all(request.repeatable for request in provider.asked)


def test_a_server_that_speaks_of_cursors_is_read_by_cursor() -> None:
    provider = Provider(*map(user, range(1, 6)))

    def meddle(request: Request) -> Answer | None:
        params = dict(request.params)
        if request.path == "/ServiceProviderConfig":
            return said({"patch": {"supported": True}, "pagination": {"cursor": True}}, request=request)
        if request.path != "/Users":
            return None
        start = int(params["cursor"] or 0)
        some = [provider.shown(f"u{number}") for number in range(1, 6)][start : start + 2]
        return said({"Resources": some} | ({"nextCursor": str(start + 2)} if start < 4 else {}), request=request)

    provider.meddle = meddle
    assert [found.id for found in opened(provider, page_size=2).scan()] == [f"u{number}" for number in range(1, 6)]
    assert [dict(request.params)["cursor"] for request in provider.asked] == ["", "2", "4"]


@pytest.mark.parametrize(("users", "within", "told"), [(0, 0, False), (1, 0, True), (2, 1, False), (1, 1, False)])
def test_a_filter_that_leaves_out_everybody_who_was_shown_is_told(users: int, within: int, *, told: bool) -> None:
    provider = Provider(*(user(number, active=number <= within) for number in range(1, users + 1)))
    directory = opened(provider, filter="active eq true")
    list(directory.scan())
    cautions = " ".join(directory.describe().cautions)
    assert ("active eq true" in cautions) is told


def test_the_number_of_users_is_known_of_a_server_that_bears_no_parameters() -> None:
    provider = Provider(*map(user, range(1, 8)))
    provider.meddle = lambda request: said({}, 400) if request.params else None
    assert opened(provider).size() == 7


# ---------------------------------------------------------------- one user


@pytest.mark.parametrize("status", [400, 404, 410, 500])
def test_whoever_is_not_there_is_left_out_however_the_server_says_it(status: int) -> None:
    """Some refuse an id that is none of theirs; that they would answer another one is what tells."""
    provider = Provider(*map(user, (1, 2)))

    def meddle(request: Request) -> Answer | None:
        return said({}, status, request=request) if request.path == "/Users/gone" else None

    provider.meddle = meddle
    refs = [UserRef("u1", "x"), UserRef("gone", "y"), UserRef("u2", "z")]
    assert [found.id for found in opened(provider).read(refs)] == ["u1", "u2"]


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("odd", ["nobody is answered", "the filter finds it", "the filter is refused"])
def test_whoever_may_be_there_all_the_same_has_not_been_read(status: int, odd: str) -> None:
    provider = Provider(user(1), user(2))

    def meddle(request: Request) -> Answer | None:
        if request.path == "/Users/u2" or (odd == "nobody is answered" and request.path.startswith("/Users/")):
            return said({}, status, request=request)
        if "filter" in dict(request.params) and odd == "the filter is refused":
            return said({}, 400, request=request)
        return None

    provider.meddle = meddle
    with pytest.raises(IncompleteRead, match=f"asked for by id, was answered with {status}"):
        list(opened(provider).read([UserRef("u2", "x")]))


@pytest.mark.parametrize("status", [400, 500])
def test_one_other_user_is_enough_to_tell_that_an_id_is_nobodys(status: int) -> None:
    provider = Provider(user(1))
    provider.meddle = lambda request: said({}, status, request=request) if request.path == "/Users/gone" else None
    assert list(opened(provider).read([UserRef("gone", "x")])) == []
    assert all(request.repeatable for request in provider.asked)


@pytest.mark.parametrize("status", [400, 500])
def test_where_nobody_at_all_is_answered_by_id_a_filter_that_finds_nobody_tells_nothing(status: int) -> None:
    provider = Provider(user(1))
    provider.meddle = lambda request: said({}, status, request=request) if request.path != "/Users" else None
    with pytest.raises(IncompleteRead, match=f"asked for by id, was answered with {status}"):
        list(opened(provider).read([UserRef("gone", "x")]))


@pytest.mark.parametrize("status", [400, 500])
def test_in_a_directory_without_users_nobody_is_there(status: int) -> None:
    provider = Provider()
    provider.meddle = lambda request: said({}, status, request=request) if "/u1" in request.path else None
    assert list(opened(provider).read([UserRef("u1", "x")])) == []


@pytest.mark.parametrize("status", [401, 403, 429, 502])
def test_any_other_answer_is_no_absence(status: int) -> None:
    provider = Provider(user(1))
    provider.meddle = lambda request: said({}, status, request=request) if "/gone" in request.path else None
    kind = DeniedError if status in {401, 403} else IncompleteRead
    with pytest.raises(kind) as fault:
        list(opened(provider).read([UserRef("gone", "x")]))
    assert type(fault.value) is kind


def test_another_user_than_was_asked_for_is_no_answer() -> None:
    provider = Provider(user(1), user(2))
    provider.meddle = lambda request: said(provider.shown("u2"), request=request) if "/u1" in request.path else None
    with pytest.raises(MalformedError, match="another user"):
        list(opened(provider).read([UserRef("u1", "x")]))


def test_an_id_is_asked_for_as_an_address_has_it() -> None:
    odd = "a/b c?d#e%"
    provider = Provider(user(1))
    provider.meddle = lambda request: (
        said(user(1) | {"id": odd}) if request.path == "/Users/a%2Fb%20c%3Fd%23e%25" else None
    )
    assert [found.id for found in opened(provider).read([UserRef(odd, "x")])] == [odd]


# ---------------------------------------------------------------- by what they hold


def listed(provider: Provider, meddle: Callable[[Json, dict[str, str]], Json]) -> None:
    """What the server answers to filters is something else."""

    def answer(request: Request) -> Answer | None:
        params = dict(request.params)
        if "filter" not in params:
            return None
        return said(meddle(json.loads(provider.answer(request).body), params), request=request)

    provider.meddle = answer


def test_what_a_filter_finds_on_several_pages_is_read_to_its_end() -> None:
    provider = Provider(*(user(number, userName="same") for number in range(1, 6)))

    def paged(page: Json, params: dict[str, str]) -> Json:
        start = int(params.get("startIndex", "1")) - 1
        everybody = [provider.shown(id_) for id_ in provider.users]
        return {"totalResults": 5, "Resources": everybody[start : start + 2]}

    listed(provider, paged)
    assert sorted(found.id for found in opened(provider).find([(NAME, "same")])) == ["u1", "u2", "u3", "u4", "u5"]
    asked = [dict(request.params) for request in provider.asked if "filter" in dict(request.params)]
    assert [params.get("startIndex") for params in asked][-3:] == [None, "3", "5"]


def test_a_filter_whose_pages_stand_still_has_not_found_all() -> None:
    provider = Provider(*(user(number, userName="same") for number in range(1, 6)))
    listed(provider, lambda page, params: {"totalResults": 5, "Resources": [provider.shown("u1")]})
    with pytest.raises(TruncatedError, match="reports 5 users and shows 1"):
        list(opened(provider).find([(NAME, "same")]))


@pytest.mark.parametrize("total", [None, 0])
def test_a_filter_that_does_not_say_how_many_has_found_what_it_shows(total: int | None) -> None:
    provider = Provider(user(1), user(2))
    listed(provider, lambda page, params: {"totalResults": total, "Resources": [provider.shown("u1")]})
    assert [found.id for found in opened(provider).find([(NAME, "agent001")])] == ["u1"]


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("most", [20, 3])
def test_a_server_that_cuts_what_a_filter_finds_is_asked_for_no_more_than_it_gives(most: int, tells: bool) -> None:
    """It says that so many are all, or does not say how many there are, and shows no second page."""
    provider = Provider(*(user(number) for number in range(40)))

    def cut(page: Json, params: dict[str, str]) -> Json:
        names = {name.lower() for name in re.findall('"(.*?)"', params["filter"])}
        found = [shown for shown in map(provider.shown, provider.users) if shown["userName"] in names]
        some = [] if "startIndex" in params else found[:most]
        return {"Resources": some} | ({"totalResults": len(some)} if tells else {})

    listed(provider, cut)
    found = opened(provider).find((NAME, f"agent{number:03}") for number in range(40))
    assert {each.id for each in found} == {f"u{number}" for number in range(40)}


def test_a_search_without_proof_of_who_asks_is_an_error() -> None:
    provider = Provider(user(1))
    provider.meddle = lambda request: said({}, 401) if "filter" in dict(request.params) else None
    with pytest.raises(DeniedError, match="a search for users"):
        list(opened(provider).find(iter([(NAME, "agent001")])))


def test_an_account_that_may_not_search_reads_all_users_and_says_so_once() -> None:
    provider = Provider(user(1), user(2))
    refusal = {"detail": "No right to search"}
    provider.meddle = lambda request: said(refusal, 403) if "filter" in dict(request.params) else None
    directory = opened(provider)
    with logged() as events:
        for _ in range(2):
            assert {each.name for each in directory.find(iter([(NAME, "agent001")]))} == {"agent001", "agent002"}
    assert [event["event"] for event in events] == ["look-ups are not reliable, reading all users"]
    assert "403 Forbidden: No right to search" in str(events)


def test_a_search_that_is_refused_after_its_first_page_is_an_error() -> None:
    provider = Provider(*(user(number, userName="same") for number in (1, 2)))

    def meddle(request: Request) -> Answer | None:
        params = dict(request.params)
        if "filter" not in params:
            return None
        return (
            said({}, 400) if "startIndex" in params else said({"totalResults": 2, "Resources": [provider.shown("u1")]})
        )

    provider.meddle = meddle
    with pytest.raises(IncompleteRead, match="a search for users"):
        list(opened(provider).find([(NAME, "same")]))


def test_several_values_that_could_not_be_tried_and_are_refused_are_asked_for_one_by_one() -> None:
    """The first users show none of them, and the server lists no more than those."""
    provider = Provider(*(user(number, **({"nickName": f"n{number}"} if number > 25 else {})) for number in range(30)))

    def meddle(request: Request) -> Answer | None:
        params = dict(request.params)
        is_sample = params.get("count") == "25"
        is_single = "filter" in params and " or " not in params["filter"]
        return None if request.path != "/Users" or is_sample or is_single else said({}, 400)

    provider.meddle = meddle
    found = opened(provider).find([("nickName", f"n{number}") for number in (26, 27, 28)])
    assert sorted(each.id for each in found) == ["u26", "u27", "u28"]


def test_where_a_filter_shows_strangers_all_users_are_read() -> None:
    provider = Provider(*map(user, (1, 2, 3)))
    for beside in (False, True):

        def strangers(page: Json, params: dict[str, str], *, beside: bool = beside) -> Json:
            shown = [*(page["Resources"] if beside else []), provider.shown("u3")]
            return {"totalResults": len(shown), "Resources": shown}

        listed(provider, strangers)
        found = list(opened(provider).find([(NAME, "agent002")]))
        assert sorted(each.id for each in found) == ["u1", "u2", "u3"]


# ---------------------------------------------------------------- what schemas say


def without(*left_out: str) -> list[Json]:
    return [schema for schema in schemas() if schema["id"] not in left_out]


@pytest.mark.parametrize("spelt", [CEC, CEC.upper(), CEC.lower()])
@pytest.mark.parametrize("published", [without(), without(CEC), without(CORE), []], ids=["all", "core", "own", "none"])
def test_an_attribute_is_what_is_published_or_else_what_this_program_knows_of_it(
    published: list[Json], spelt: str
) -> None:
    provider = Provider(user(1, **{CEC: {"workNo": 7, "sipAccount": "1A", "sipPassword": "p"}}), published=published)
    names = tuple(f"{spelt}:{name}" for name in ("WORKNO", "sipaccount", "sipPassword", "accountCode"))
    directory = opened(provider, View(("USERNAME", *names, f"{ENTERPRISE}:employeeNumber"), frozenset({names[2]})))
    infos = directory.describe().attributes
    assert [infos[name].definition.known for name in names] == [True] * 4
    rules = [infos[name].equality for name in ("USERNAME", *names)]
    assert rules == [
        Equality.CASE_ALONE, Equality.INTEGER, Equality.OCTETS, Equality.OCTETS, Equality.CASE_ALONE,
    ]  # fmt: skip
    assert infos[names[2]].readable is None
    assert infos[f"{ENTERPRISE}:employeeNumber"].definition.known
    (found,) = directory.scan()
    assert found.values["USERNAME"] == ("agent001",)
    assert [found.values.get(name) for name in names] == [("7",), ("1A",), None, None]


def test_a_schema_under_another_urn_is_ours_where_the_job_says_so() -> None:
    urn = "urn:example:cec"
    own = json.loads(json.dumps(schemas()[1]).replace(CEC, urn))
    provider = Provider(user(1, **{urn: {"workNo": 7}}), published=[schemas()[0], own])
    directory = opened(provider, View((SEAT,)), urn=urn)
    (found,) = directory.scan()
    assert found.values == {SEAT: ("7",)}
    planned = change(1, AttributeChange(SEAT, ("7",), ("8",)))
    assert [outcome.result for outcome in write(directory, planned)] == [Result.WRITTEN]
    assert provider.stored("u1")[urn] == {"workNo": 8}


@pytest.mark.parametrize(
    ("filter_", "why"),
    [
        ("nothing eq 1", "has no attribute nothing"),
        (f'{PASSWORD} eq "x"', "never shows"),
        ("title eq", "ends too early"),
    ],
)
def test_a_filter_that_can_tell_nobody_is_a_mistake_of_the_job(filter_: str, why: str) -> None:
    with pytest.raises(FileError, match=why) as fault:
        list(opened(Provider(user(1)), filter=filter_).scan())
    assert fault.value.where == "directory.filter"


@pytest.mark.parametrize(
    ("filter_", "ids"), [(f'{LINE} eq "1A"', ["u1"]), ('title eq "SAMPLE"', ["u1", "u2"]), (f"{SEAT} gt 7", ["u2"])]
)
def test_a_filter_is_held_against_users_as_the_schema_compares(filter_: str, ids: list[str]) -> None:
    users = user(1, **{CEC: {"sipAccount": "1A", "workNo": 7}}), user(2, **{CEC: {"sipAccount": "1a", "workNo": 8}})
    provider = Provider(*users)
    directory = opened(provider, filter=filter_)
    assert [found.id for found in directory.scan()] == ids
    assert [found.id for found in directory.read([UserRef("u1", "x"), UserRef("u2", "x")])] == ids


@pytest.mark.parametrize(
    ("kind", "text", "held"),
    [
        ("boolean", " true ", True), ("boolean", "FALSE", False), ("decimal", "1.50", 1.5), ("integer", "007", 7),
        ("string", "007", "007"), ("Integer", "7", 7), ("dateTime", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_its_type_has_it(kind: str, text: str, held: Any) -> None:
    own = {"id": "urn:example:x", "attributes": [{"name": "it", "type": kind}]}
    provider = Provider(user(1), published=[schemas()[0], own])
    planned = change(1, AttributeChange("urn:example:x:it", (), (text,)))
    assert [outcome.result for outcome in write(opened(provider), planned)] == [Result.WRITTEN]
    assert provider.stored("u1")["urn:example:x"]["it"] == held
    assert type(provider.stored("u1")["urn:example:x"]["it"]) is type(held)


def test_secrets_that_a_server_shows_arrive_wrapped_and_are_compared() -> None:
    provider = Provider(user(1, **{CEC: {"accountCode": "canary"}}), user(2))
    directory = opened(provider, View(("userName", ACCOUNT, PASSWORD), frozenset({ACCOUNT})))
    first, second = directory.scan()
    assert first.values[ACCOUNT] == (Secret("canary"),)
    assert first.values["userName"] == ("agent001",)
    assert ACCOUNT not in second.values
    asked = [
        Question(first.ref, ACCOUNT, Secret("CANARY")),
        Question(first.ref, ACCOUNT, Secret("x")),
        Question(second.ref, ACCOUNT, Secret("x")),
        Question(first.ref, PASSWORD, Secret("x")),
        Question(UserRef("u9", "x"), ACCOUNT, Secret("x")),
    ]
    assert list(directory.holds(iter(asked))) == [
        Holds.SAME, Holds.OTHER, Holds.ABSENT, Holds.UNKNOWN, Holds.UNKNOWN,
    ]  # fmt: skip


def _refused(body: Json, request: Request) -> Answer:
    return said(body, 409, request=request)


def test_a_refusal_is_told_by_its_kind_and_by_its_words_but_for_what_was_sent() -> None:
    kinds = [
        "invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget",
        "invalidValue", "invalidVers", "sensitive", "invalidCursor", "expiredCursor", "invalidCount",
    ]  # fmt: skip
    for kind in [*kinds, "canary", ""]:
        provider = Provider(user(1))
        body = {"scimType": kind, "detail": "the value 81 is taken"}
        provider.meddle = once(partial(_refused, body), times=2)
        (outcome,) = write(opened(provider), change(1, AttributeChange(SEAT, (), ("81",))))
        known = f", {kind}" if kind in kinds else ""
        assert outcome.why == f"refused: 409 Conflict{known}: the value … is taken"


@pytest.mark.parametrize("spelt", [{"id": "7"}, {"ID": "7"}, {"id": 7}, {"iD": 7.0}])
def test_an_id_is_one_however_it_is_spelt(spelt: Json) -> None:
    provider = Provider(user(1))
    provider.meddle = lambda request: said({"userName": "a"} | spelt) if request.path == "/Users/7" else None
    assert [found.id for found in opened(provider).read([UserRef("7", "x")])] == ["7"]


def test_what_every_server_has_and_none_publishes_is_known_and_what_is_assumed_is_said() -> None:
    names = ("id", "externalId", f"{CEC}:id", SEAT)
    description = opened(Provider(user(1)), View(names)).describe()
    assert [description.attributes[name].definition.known for name in names] == [True, True, False, True]
    assert not description.attributes["id"].writable
    assert description.schema.closed
    assert not [caution for caution in description.cautions if "publishes no schema" in caution]
    assumed = opened(Provider(user(1), published=[]), View(names)).describe()
    assert not assumed.schema.closed
    (caution,) = [caution for caution in assumed.cautions if "publishes no schema" in caution]
    assert f"no schema {CORE} and no {CEC}. " in caution
