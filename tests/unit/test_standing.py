"""What became of a write whose answer was lost: as far as the user tells, and no further."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.model import (
    AttributeChange,
    AttributeInfo,
    Change,
    Description,
    Equality,
    Held,
    Outcome,
    Owned,
    Result,
    Secret,
    User,
    UserRef,
)
from connector.model.digests import UNKEYED, make_fingerprinter
from connector.model.equality import digest_value, equality_key, reveal_value
from connector.planning.open_writes import OpenWrite
from connector.planning.standing import ShownUser, change_stands

ANN = UserRef("1", "uid=ann,dc=example")
INFOS = {name: AttributeInfo(name) for name in ("mail", "pager", "secret")}
INFOS["hidden"] = AttributeInfo("hidden", readable=None)
INFOS["unseen"] = AttributeInfo("unseen", readable=None, equality=Equality.OCTETS)
SHOWN = Description("test", "test", INFOS)
PRINT = make_fingerprinter(Secret("key"))


def put(name: str, *new: Held, old: tuple[Held, ...] = (), seen: bool = True) -> AttributeChange:
    return AttributeChange(name, old, new, seen=seen)


def password(new: str = "", *, name: str = "unseen", seen: bool = False) -> AttributeChange:
    print_ = PRINT(ANN, name, new) if new else ""
    return AttributeChange(name, (), (Secret(new),) if new else (), secret=True, seen=seen, fingerprint=print_)


def judged(change: Change, user: User, description: Description = SHOWN, **known: Any) -> Outcome | None:
    """What became of a change, by how the user is now and what is `known` of it."""
    return OpenWrite(change, ShownUser(user, description, PRINT), **known).judge()


def became(*attributes: AttributeChange, **values: Held | tuple[Held, ...]) -> tuple[Result, str] | None:
    """What is found out by a user that shows these values."""
    held = {name: value if isinstance(value, tuple) else (value,) for name, value in values.items()}
    told = judged(Change(ANN, None, 1, attributes), User(ANN.id, ANN.name, held))
    return (told.result, told.why) if told else None


WRITTEN = (Result.WRITTEN, "not confirmed at first; the values are there")
SINCE = (Result.WRITTEN, "not confirmed at first; it was written, and changed by somebody since")
NOT = (Result.SKIPPED, "not confirmed at first; it was not written")


@pytest.mark.parametrize(
    ("old", "new", "held", "expected"),
    [
        ((), ("a",), ("a",), True),
        ((), ("a",), ("A ",), True),
        ((), ("a",), ("a", "other"), True),
        ((), ("a",), (), False),
        (("b",), ("a",), ("a",), True),
        (("b",), ("a",), ("a", "b"), False),
        (("b",), ("a",), ("b",), False),
        (("b",), ("a",), ("a", "other"), True),
        (("b", "c"), ("b",), ("b",), True),
        (("b", "c"), ("b",), ("b", "C"), False),
        (("b",), (), (), True),
        (("b",), (), ("other",), True),
        (("b",), (), ("B",), False),
        (("b", "c"), (), ("c", "other"), False),
    ],
)
def test_a_change_stands_where_all_that_it_sets_is_there_and_all_that_it_takes_away_is_gone(
    old: tuple[str, ...], new: tuple[str, ...], held: tuple[str, ...], *, expected: bool
) -> None:
    assert change_stands(AttributeChange("mail", old, new), held, SHOWN) is expected


ALL: tuple[Held, ...] = ("a", "A", "b", "a  b", "A b", b"a", Secret("a"), Secret("B"))
WORDS = st.lists(st.sampled_from(ALL), max_size=3).map(tuple[Held, ...])


@given(WORDS, WORDS, WORDS)
def test_a_change_stands_if_all_new_values_are_there_and_no_old_one_but_those(
    old: tuple[Held, ...], new: tuple[Held, ...], held: tuple[Held, ...]
) -> None:
    before, after, now = (
        {equality_key(Equality.CASE_IGNORE, reveal_value(each)) for each in values} for values in (old, new, held)
    )
    assert change_stands(AttributeChange("mail", old, new), held, SHOWN) is (
        after <= now and not (before - after) & now
    )


def test_all_of_a_write_happened_or_nothing_so_that_one_attribute_speaks_for_the_others() -> None:
    both = (put("mail", "a"), put("pager", "7"))
    assert became(*both, mail="a", pager="7") == WRITTEN
    assert became(*both, mail="a") == became(*both, pager="7", mail="other") == SINCE
    assert became(*both) == became(*both, mail="other") == NOT


def test_what_is_not_shown_and_may_be_there_all_the_same_tells_nothing() -> None:
    assert became(put("hidden", "a", seen=False), put("mail", "a"), mail="a", hidden="a") == WRITTEN
    assert became(password("canary")) is None
    assert became(password("canary"), put("mail", "a"), mail="a") == WRITTEN
    assert became(password()) is None


def test_what_was_seen_before_and_is_not_shown_any_more_was_taken_away() -> None:
    assert became(put("hidden", old=("a",))) == WRITTEN
    assert became(put("hidden", old=("a",)), hidden="a") == NOT
    assert became(put("hidden", seen=False)) is None


def test_a_value_that_was_to_be_set_and_is_not_shown_where_it_may_be_hidden_is_taken_for_not_written() -> None:
    assert became(put("hidden", "a")) == NOT


@pytest.mark.parametrize("name", ["secret", "unseen"])
def test_a_password_that_is_shown_is_known_by_its_fingerprint(name: str) -> None:
    assert became(password("canary", name=name), **{name: (Secret("other"), Secret("canary"))}) == WRITTEN
    assert became(password("canary", name=name), **{name: Secret("other")}) == NOT
    assert became(password(name=name), **{name: Secret("other")}) == NOT


def test_a_password_that_would_be_shown_is_gone_where_there_is_none() -> None:
    assert became(password(name="secret")) == WRITTEN
    assert became(password("canary", name="secret")) == NOT


def test_an_attribute_that_the_mapping_names_no_longer_is_not_judged_for_nobody_asked_for_it() -> None:
    assert became(put("former", "a")) is None
    assert became(put("former", old=("a",))) is None
    assert became(put("former", "a"), put("mail", "a"), mail="a") == WRITTEN


def test_object_classes_are_judged_where_the_user_shows_some() -> None:
    adds = put("objectClass", "cecAgent")
    assert became(adds, objectClass=("top", "CECAGENT")) == WRITTEN
    assert became(adds, objectClass=("top",)) == NOT
    assert became(adds) is None
    assert became(put("objectClass", old=("cecAgent",)), objectClass=("top",)) == WRITTEN


def test_where_nothing_is_asked_for_nothing_is_known() -> None:
    assert became() is None
    described = replace(SHOWN, attributes={})
    change = Change(ANN, None, 1, (put("mail", "a"),))
    assert judged(change, User(ANN.id, ANN.name, {"mail": ("a",)}), described) is None


@pytest.mark.parametrize(
    ("server", "known", "expected"),
    [
        ("here", False, SINCE),
        ("here", True, NOT),
        ("there", False, SINCE),
        ("there", True, None),
    ],
)
def test_what_was_ours_before_does_not_prove_a_later_write(
    server: str, known: bool, expected: tuple[Result, str] | None
) -> None:
    """The mail is there, and the pager, which the same write was to set, is not."""
    owned = Owned("1", (digest_value(Equality.CASE_IGNORE, "a"),))
    change = Change(ANN, None, 1, (put("mail", "a"), put("pager", "7")))
    described = replace(SHOWN, server="here")
    ours = {"mail": owned} if known else {}
    told = judged(change, User(ANN.id, ANN.name, {"mail": ("a",)}), described, server=server, owned_values=ours)
    assert (told and (told.result, told.why)) == expected


@pytest.mark.parametrize(("server", "expected"), [("here", WRITTEN), ("there", None)])
def test_what_was_there_before_another_run_proves_nothing_at_a_server_that_may_lag(
    server: str, expected: tuple[Result, str] | None
) -> None:
    past = [("1", "here", put("mail", "b", old=("a",))), ("2", server, put("mail", "a", old=("b",)))]
    change = Change(ANN, None, 1, (past[1][2],))
    user = User(ANN.id, ANN.name, {"mail": ("a",)})
    told = judged(change, user, replace(SHOWN, server="here"), server=server, run="2", past=past)
    assert (told and (told.result, told.why)) == expected


@pytest.mark.parametrize(
    ("where", "result"), [("there", Result.SKIPPED), ("here", Result.WRITTEN), ("", Result.WRITTEN)]
)
def test_a_value_that_was_taken_away_at_another_server_proves_no_write_here(where: str, result: Result) -> None:
    cleared = AttributeChange("mail", ("a",), ())
    change = Change(ANN, None, 1, (cleared, put("pager", "7")))
    told = judged(
        change, User(ANN.id, ANN.name, {}), replace(SHOWN, server="here"),
        server="here", run="2", past=[("1", where, cleared), ("2", "here", cleared)],
    )  # fmt: skip
    assert told is not None
    assert told.result is result


def found_out(
    change: AttributeChange, held: Held | tuple[Held, ...], *, server: str, run: str = "2", **known: Any
) -> Result | None:
    """What became of one attribute's change, by a user that shows this."""
    values = held if isinstance(held, tuple) else (held,)
    user = User(ANN.id, ANN.name, {change.name: values})
    told = judged(
        Change(ANN, None, 1, (change,)), user, replace(SHOWN, server="here"), server=server, run=run, **known,
    )  # fmt: skip
    return told.result if told else None


@pytest.mark.parametrize(
    ("owned", "result"),
    [
        (Owned("1", (), PRINT(ANN, "secret", "canary")), None),
        (Owned("1", (), PRINT(ANN, "secret", "before")), Result.WRITTEN),
        (Owned("2", (), PRINT(ANN, "secret", "canary")), Result.WRITTEN),
    ],
)
def test_a_password_that_another_run_is_known_to_have_set_proves_no_later_write(
    owned: Owned, result: Result | None
) -> None:
    """At a server that may lag, where nothing else tells."""
    change = password("canary", name="secret")
    assert found_out(change, Secret("canary"), server="there", owned_values={"secret": owned}) is result
    unsealed = replace(change, new=())
    assert found_out(unsealed, Secret("canary"), server="there", owned_values={"secret": owned}) is result, (
        "by another key"
    )
    cleared = password(name="secret")
    assert found_out(cleared, (), server="here", owned_values={"secret": Owned("1", (), "")}) is Result.WRITTEN


@pytest.mark.parametrize(
    ("before", "result"),
    [
        (password("canary", name="secret", seen=True), None),
        (password("another", name="secret", seen=True), Result.WRITTEN),
        (password("another", name="secret"), None),
    ],
)
def test_a_password_that_was_there_around_another_run_or_may_have_been_proves_nothing_at_a_server_that_may_lag(
    before: AttributeChange, result: Result | None
) -> None:
    change = password("canary", name="secret")
    assert found_out(change, Secret("canary"), server="there", past=[("1", "here", before)]) is result
    assert found_out(change, Secret("canary"), server="there", past=[("2", "here", before)]) is Result.WRITTEN
    other = replace(before, name="unseen")
    assert found_out(change, Secret("canary"), server="there", past=[("1", "here", other)]) is Result.WRITTEN


def test_object_classes_that_another_run_has_changed_prove_nothing_at_a_server_that_may_lag() -> None:
    adds = put("objectClass", "cecAgent")
    assert found_out(adds, "cecAgent", server="there") is Result.WRITTEN
    assert found_out(adds, "cecAgent", server="there", past=[("1", "here", adds)]) is None
    assert found_out(adds, "cecAgent", server="there", past=[("1", "here", put("mail", "a"))]) is Result.WRITTEN
    owned = {"mail": Owned("1", ())}
    assert found_out(adds, "cecAgent", server="there", owned_values=owned) is None
    assert found_out(adds, "cecAgent", server="there", run="1", owned_values=owned) is Result.WRITTEN


def known(*attributes: AttributeChange, **values: Held | tuple[Held, ...]) -> list[tuple[str, str | None]]:
    """By attribute the fingerprint of what is known of a change, where the user shows these values."""
    held = {name: value if isinstance(value, tuple) else (value,) for name, value in values.items()}
    change, shown = Change(ANN, None, 1, attributes), ShownUser(User(ANN.id, ANN.name, held), SHOWN, PRINT)
    found = OpenWrite(change, shown).as_written()
    assert (found.user, found.rule) == (ANN, 1)
    return [(each.name, each.fingerprint) for each in found.attributes]


def test_of_a_change_that_stands_all_is_known_and_of_one_that_does_not_no_unseen_password() -> None:
    """One that was set is ours and is written again; one that was taken away is what it was before."""
    mail, word, gone = put("mail", "a"), password("canary"), password(name="hidden")
    print_ = PRINT(ANN, "unseen", "canary")
    assert known(mail, word, gone, mail="a") == [("mail", ""), ("unseen", print_), ("hidden", "")]
    assert known(mail, word, gone, mail="b") == [("mail", ""), ("unseen", UNKEYED)]
    shown = password("canary", name="secret")
    assert known(mail, shown, mail="b", secret=Secret("canary")) == [("mail", ""), ("secret", shown.fingerprint)]


@pytest.mark.parametrize(
    ("before", "result"),
    [
        (password(name="secret"), Result.SKIPPED),
        (password("other", name="secret"), Result.WRITTEN),
        (replace(password("other", name="secret"), new=()), Result.WRITTEN),
        (replace(password("other", name="secret"), fingerprint=""), Result.WRITTEN),
        (password(name="unseen"), Result.WRITTEN),
    ],
)
def test_a_password_that_was_taken_away_at_another_server_proves_no_write_here(
    before: AttributeChange, result: Result
) -> None:
    """One that was set there, also by another key, was not taken away."""
    change = Change(ANN, None, 1, (password(name="secret"), put("pager", "7")))
    told = judged(
        change, User(ANN.id, ANN.name, {}), replace(SHOWN, server="here"),
        server="here", run="2", past=[("1", "there", before)],
    )  # fmt: skip
    assert told is not None
    assert told.result is result


@pytest.mark.parametrize(
    ("new", "owned", "result"),
    [
        (("a",), ("a",), None),
        (("a",), ("b",), Result.WRITTEN),
        (("a", "b"), ("a",), Result.WRITTEN),
        (("a", "b"), ("a", "b", "c"), None),
    ],
)
def test_values_that_another_run_is_known_to_have_written_are_all_of_them_or_prove_it(
    new: tuple[str, ...], owned: tuple[str, ...], result: Result | None
) -> None:
    ours = Owned("1", tuple(digest_value(Equality.CASE_IGNORE, each) for each in owned))
    assert found_out(put("mail", *new), new, server="there", owned_values={"mail": ours}) is result
    assert found_out(put("mail", *new), new, server="there", owned_values={"pager": ours}) is Result.WRITTEN


def test_that_another_run_wrote_an_attribute_does_not_mean_that_it_took_it_away() -> None:
    change = Change(ANN, None, 1, (put("mail", old=("a",)), put("pager", "7")))
    told = judged(
        change, User(ANN.id, ANN.name, {}), replace(SHOWN, server="here"),
        server="here", run="2", owned_values={"mail": Owned("1", ())},
    )  # fmt: skip
    assert told is not None
    assert told.result is Result.WRITTEN


@pytest.mark.parametrize(
    ("unseen", "result"),
    [
        (password("canary"), None),
        (password(), None),
        (put("hidden", seen=False), None),
        (put("former", "a"), None),
        (put("objectClass", "cecAgent"), Result.WRITTEN),
        (put("pager", "7"), Result.SKIPPED),
        (put("pager", old=("7",)), Result.WRITTEN),
    ],
)
@pytest.mark.parametrize("how", ["cleared", "ours"])
def test_what_another_run_explains_does_not_tell_of_what_is_not_shown(
    unseen: AttributeChange, result: Result | None, how: str
) -> None:
    """Of a password least: it would be ours without having been written."""
    mail = put("mail", old=("a",)) if how == "cleared" else put("mail", "a")
    held: dict[str, tuple[Held, ...]] = {} if how == "cleared" else {"mail": ("a",)}
    told = judged(
        Change(ANN, None, 1, (mail, unseen)), User(ANN.id, ANN.name, held), replace(SHOWN, server="here"),
        server="here", run="2", past=[("1", "there", mail)],
        owned_values={"mail": Owned("1", (digest_value(Equality.CASE_IGNORE, "a"),))} if how == "ours" else {},
    )  # fmt: skip
    assert (told and told.result) == result


@pytest.mark.parametrize(
    ("order", "where", "result"),
    [
        (("1", "2"), "here", Result.WRITTEN),
        (("1", "2"), "", Result.WRITTEN),
        (("1", "2"), "there", None),
        (("2", "1"), "here", None),
        (("2",), "here", Result.WRITTEN),
    ],
    ids=["before", "before there were servers", "at another server", "later", "pruned since"],
)
@pytest.mark.parametrize("name", ["mail", "objectClass"])
def test_what_a_server_had_heard_of_before_explains_nothing_that_was_planned_since(
    order: tuple[str, ...], where: str, result: Result | None, name: str
) -> None:
    """An object class beside a password was not there, whatever else the job had written to its user."""
    written = put("mail", "a")
    change = Change(ANN, None, 1, (put(name, "a"), password("canary")))
    told = judged(
        change, User(ANN.id, ANN.name, {name: ("a",)}), replace(SHOWN, server="here"),
        server="here", run="2", past=[(run, where if run == "1" else "here", written) for run in order],
        owned_values={"mail": Owned("1", (digest_value(Equality.CASE_IGNORE, "a"),))},
    )  # fmt: skip
    assert (told and told.result) == result


def test_what_stands_and_is_nobodys_or_another_runs_leaves_nothing_open() -> None:
    change = Change(
        ANN, None, 1, (put("mail", "a"), put("pager", old=("7",)), password("canary"), password(name="hidden"))
    )
    ours = {"mail": Owned("1", (digest_value(Equality.CASE_IGNORE, "a"),))}

    def closed(run: str, *, alone: bool = True, **held: Held) -> frozenset[str]:
        user = User(ANN.id, ANN.name, {name: (value,) for name, value in held.items()})
        return OpenWrite(change, ShownUser(user, SHOWN, PRINT), run, owned_values=ours).list_closed(alone=alone)

    assert closed("2", mail="a") == {"mail", "pager"}
    assert closed("1", mail="a") == {"pager"}, "its own"
    assert closed("2", mail="b", pager="7") == {"mail", "pager"}, "nothing of it is there"
    assert closed("2", mail="b", pager="7", alone=False) == set(), "but it may be at the other server"


@pytest.mark.parametrize(
    ("open_", "where", "pager", "result"),
    [
        (("1",), "there", None, Result.SKIPPED),
        (("1",), "there", "9", None),
        (("1",), "there", "7", None),
        (("1",), "here", None, Result.WRITTEN),
        ((), "there", None, Result.WRITTEN),
    ],
    ids=["as before", "changed since", "stands", "at this server", "known not to have been written"],
)
def test_what_an_open_write_elsewhere_may_have_brought_does_not_tell(
    open_: tuple[str, ...], where: str, pager: str | None, result: Result | None
) -> None:
    """The value has come from there; where another one is as before, nothing was written here."""
    mail = put("mail", "a")
    held: dict[str, tuple[Held, ...]] = {"mail": ("a",), "pager": (pager,) if pager else ()}
    told = judged(
        Change(ANN, None, 1, (mail, put("pager", "7"), password())), User(ANN.id, ANN.name, held),
        replace(SHOWN, server="here"),
        server="here", run="2", past=[("1", where, mail), ("1", where, put("pager", "7"))][: 2 if pager == "7" else 1],
        open_runs=open_,
    )  # fmt: skip
    assert (told and told.result) == result


@pytest.mark.parametrize(
    ("other", "owner", "result"),
    [
        (put("pager", "8"), "1", None),
        (put("pager", "8"), "0", Result.WRITTEN),
        (put("pager", "7", "8"), "1", Result.WRITTEN),
        (put("pager", "8", old=("8",)), "1", Result.WRITTEN),
    ],
    ids=["known to have replaced it", "not known to", "with it", "which wrote nothing"],
)
def test_a_value_that_a_known_write_elsewhere_has_replaced_was_not_taken_away_here(
    other: AttributeChange, owner: str, result: Result | None
) -> None:
    change = Change(ANN, None, 1, (put("pager", old=("7",)), password("canary")))
    told = judged(
        change, User(ANN.id, ANN.name, {"pager": ("8",)}), replace(SHOWN, server="here"),
        server="here", run="2", past=[("1", "there", other), ("2", "here", change.attributes[0])],
        owned_values={"pager": Owned(owner, (digest_value(Equality.CASE_IGNORE, "8"),))},
    )  # fmt: skip
    assert (told and told.result) == result


def test_a_later_run_that_wrote_nothing_does_not_explain_what_is_away() -> None:
    saw = put("mail", "b", old=("b",))
    change = Change(ANN, None, 1, (put("mail", "a"), password("canary")))
    for since, result in ((saw, Result.SKIPPED), (put("mail", "b"), None)):
        told = judged(
            change, User(ANN.id, ANN.name, {"mail": ("b",)}), replace(SHOWN, server="here"),
            server="here", run="1", past=[("1", "here", change.attributes[0]), ("2", "here", since)],
        )  # fmt: skip
        assert (told and told.result) == result
