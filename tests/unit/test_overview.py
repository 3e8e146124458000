"""An overview of many changes: which are alike, in which order, and which users are worth a look."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.model import OBJECT_CLASS, AgentRef, AttributeChange, Change, ChangeKind, Form, Secret, UserRef
from connector.planning.kinds import FEW, MOST, RARE, find_kinds, worth_a_look


def change(
    number: int, *attributes: tuple[str, Form | None], rule: int | None = 1, name: str = "", agent: bool = True,
    new: str | bytes | Secret = "x", inactive: bool = False, account: str | None = "ann",
) -> Change:  # fmt: skip
    """A user's change of these attributes, each of this form."""
    made = tuple(AttributeChange(each, (), (new,), isinstance(new, Secret), form=form) for each, form in attributes)
    user = UserRef(f"id-{number}", name or f"uid=u{number:03},ou=people")
    return Change(user, AgentRef(number, account) if agent else None, rule, made, inactive=inactive)


def some(
    count: int, form: Form = Form.FIRST, *, start: int = 100, attribute: str = "seat", rule: int = 1
) -> list[Change]:
    return [change(number, (attribute, form), rule=rule) for number in range(start, start + count)]


def told(changes: Iterable[Change]) -> dict[str, str]:
    """By id, why a user is worth a look."""
    return {look.user.id: look.why for look in worth_a_look(find_kinds(changes))}


def test_the_page_for_reviewers_has_the_numbers_that_hold() -> None:
    page = (Path(__file__).parents[2] / "docs" / "review.md").read_text("utf-8")
    assert f"A plan has at most {MOST} kinds." in page
    assert f"in plans of {FEW} changes or more" in page
    assert f"of a kind of {FEW} users or more" in page
    shares = {percent: [form for form in RARE if RARE[form] == percent] for percent in RARE.values()}
    assert list(shares.values()) == [
        [Form.TAKEN_OVER, Form.OTHER_AGENT], [Form.FOREIGN], [Form.EMPTIED, Form.BESIDE],
    ]  # fmt: skip
    ten, five, two = shares
    assert f"at most {ten} % of the changes are of this kind (taken over, other agent)" in page
    assert f", {five} % (a value we did not write), or {two} % (emptied, adds)" in page


# ---------------------------------------------------------------- kinds


def test_changes_of_one_rule_and_the_same_forms_are_one_kind_the_riskiest_first() -> None:
    """Whoever is cleared is not of the kind of those that have an agent; nothing is lost."""
    changes = [
        change(1, ("seat", Form.FIRST)), change(2, ("seat", Form.FIRST)), change(3, ("seat", Form.FIRST), rule=2),
        change(4, ("line", Form.OURS), ("seat", Form.FOREIGN)), change(5, ("seat", Form.FIRST), rule=None, agent=False),
        change(6, ("seat", Form.FIRST), (OBJECT_CLASS, None)),
    ]  # fmt: skip
    found = find_kinds(changes)
    assert [(kind.form, kind.rule, [each.user.id[3:] for each in kind.changes]) for kind in found] == [
        (Form.FOREIGN, 1, ["4"]),
        (Form.FIRST, None, ["5"]),
        (Form.FIRST, 2, ["3"]),
        (Form.FIRST, 1, ["1", "2", "6"]),
    ]
    assert found[0].forms == ((Form.FOREIGN, ("seat",)), (Form.OURS, ("line",)))
    assert (found[0].attributes, found[0].merged, found[-1].users) == (("seat", "line"), 1, 3)


def test_where_no_change_has_a_form_there_are_no_kinds_and_else_classes_alone_join_the_rest() -> None:
    classes = change(1, (OBJECT_CLASS, None))
    assert find_kinds([classes]) == []
    assert [(kind.form, kind.forms) for kind in find_kinds([classes, change(2, ("seat", Form.FIRST))])] == [
        (Form.BESIDE, ()),
        (Form.FIRST, ((Form.FIRST, ("seat",)),)),
    ]


def test_too_many_kinds_are_merged_from_the_least_risky_on() -> None:
    """First those of one rule, then of all; a kind of its own keeps its rule."""
    first = [change(n, (f"a{n}", Form.FIRST), rule=n % 2 + 1) for n in range(MOST)]
    assert len(find_kinds(first)) == MOST
    risky = [change(100 + n, (f"b{n}", Form.FOREIGN)) for n in range(3)]
    found = find_kinds([*reversed(first), *risky])
    assert [(kind.form, kind.rule, kind.users, kind.merged) for kind in found] == [
        *[(Form.FOREIGN, 1, 1, 1)] * 3,
        (Form.FIRST, 1, MOST // 2, MOST // 2),
        (Form.FIRST, 2, MOST // 2, MOST // 2),
    ]
    names = [each.user.name for each in found[3].changes]
    assert names == sorted(names)
    assert sum(kind.users for kind in found) == MOST + 3


def test_where_rules_alone_are_too_many_they_are_merged_too() -> None:
    found = find_kinds([change(n, ("seat", Form.FIRST), rule=n) for n in range(1, MOST + 2)])
    assert [(kind.form, kind.rule, kind.users, kind.merged) for kind in found] == [
        (Form.FIRST, None, MOST + 1, MOST + 1)
    ]


# ---------------------------------------------------------------- rare kinds


@pytest.mark.parametrize(
    ("form", "users", "total", "rare"),
    [
        (Form.TAKEN_OVER, 1, 2, True),
        (Form.TAKEN_OVER, 2, 19, False),
        (Form.TAKEN_OVER, 3, 30, True),
        (Form.TAKEN_OVER, 4, 30, False),
        (Form.FOREIGN, 1, FEW - 1, True),
        (Form.EMPTIED, 1, FEW - 1, False),
        (Form.EMPTIED, 1, FEW, True),
        (Form.EMPTIED, 2, 99, False),
        (Form.EMPTIED, 2, 100, True),
        (Form.FIRST, 1, 100, False),
        (Form.OURS, 1, 100, False),
    ],
)
def test_a_kind_is_rare_by_its_share_of_all_changes(form: Form, users: int, total: int, rare: bool) -> None:
    """One user always is; the less risky kinds where there are changes enough."""
    changes = [*some(users, form, start=1, attribute="mail"), *some(total - users, Form.SECRET)]
    assert told(changes) == ({f"id-{n}": f"{form}: mail" for n in range(1, users + 1)} if rare else {})


def test_of_a_rare_kind_the_attributes_are_named_that_make_it_so() -> None:
    changes = [change(1, ("line", Form.FIRST), ("seat", Form.FOREIGN), ("mail", Form.FOREIGN)), *some(30)]
    assert told(changes) == {"id-1": f"{Form.FOREIGN}: seat, mail"}


def test_a_leaver_loses_its_values_in_due_course_and_is_not_rare() -> None:
    left = change(1, ("seat", Form.EMPTIED), rule=None, agent=False)
    assert told([left, *some(30)]) == {}
    assert told([change(1, ("seat", Form.EMPTIED)), *some(30)]) == {"id-1": f"{Form.EMPTIED}: seat"}
    put_back = change(1, ("seat", Form.FOREIGN), rule=None, agent=False)
    assert told([put_back, *some(30)]) == {"id-1": f"{Form.FOREIGN}: seat"}, "by an undo"
    other = change(2, ("seat", Form.EMPTIED))
    mixed = ChangeKind(Form.EMPTIED, None, ((Form.EMPTIED, ("seat",)),), (left, other), 2)
    assert [look.user for look in worth_a_look([mixed, *find_kinds(some(98))])] == [left.user, other.user]


def test_of_a_rare_kind_of_object_classes_alone_no_attribute_is_named() -> None:
    assert told([change(1, (OBJECT_CLASS, None)), *some(30)]) == {"id-1": str(Form.BESIDE)}


# ---------------------------------------------------------------- unlike the rest


def test_the_only_user_by_a_rule_or_a_pin_is_worth_a_look_where_there_are_many() -> None:
    alone = [change(1, ("seat", Form.FIRST), rule=2), change(2, ("seat", Form.FIRST), rule=0)]
    assert told([*alone, *some(FEW - 3)]) == {}
    assert told([*alone, *some(FEW - 2)]) == {"id-1": "the only user by rule 2", "id-2": "the only user by a pin"}
    assert told([change(1, ("seat", Form.FIRST), rule=None, agent=False), *some(FEW)]) == {}


@pytest.mark.parametrize(
    ("disabled", "others", "shown"),
    [(1, 0, True), (2, 2, True), (FEW, 20, True), (FEW + 1, 20, False), (FEW + 1, 2078, False), (FEW + 1, 2079, True)],
)
def test_disabled_accounts_are_worth_a_look_unless_they_are_many(disabled: int, others: int, shown: bool) -> None:
    """Up to twenty are, also in a small plan, or one in a hundred; the kind says how many there are."""
    odd = [change(n, ("seat", Form.FIRST), inactive=True) for n in range(1, disabled + 1)]
    changes = [*odd, *some(others)]
    expected = {f"id-{n}": "a disabled account" for n in range(1, disabled + 1)} if shown else {}
    assert told(changes) == expected
    (kind,) = find_kinds(changes)
    assert kind.sentence.endswith(f"First value: seat. Disabled accounts among them: {disabled}.")


def test_leavers_are_meant_to_be_disabled() -> None:
    left = change(1, ("seat", Form.EMPTIED), rule=None, agent=False, inactive=True)
    assert told([left, *some(30)]) == {}
    assert "Disabled" not in "".join(kind.sentence for kind in find_kinds([left, *some(30)]))


@pytest.mark.parametrize(
    ("name", "account", "odd"),
    [
        ("uid=svc-print,ou=people", "ann", True),
        ("uid=Backup,ou=people", None, True),
        ("uid=ann,ou=people", "root", True),
        ("svc_print", "ann", True),
        ("uid=ann,ou=people", "ann", False),
        ("uid=ann,ou=people,dc=test", "ann", False),
        ("uid=rooter,ou=people", "ann", False),
        ("uid=sysadmins,ou=people", "attest", False),
    ],
)
def test_an_account_that_is_named_as_a_service_is_worth_a_look(name: str, account: str | None, odd: bool) -> None:
    """By a word of its own name or of its agent's account; not by where it is."""
    one = change(1, ("seat", Form.FIRST), name=name, account=account)
    assert ("looks like a service account" in told([one, *some(FEW)]).get("id-1", "")) is odd


def test_the_only_user_of_its_container_is_worth_a_look_in_a_kind_of_many() -> None:
    def at(name: str) -> Change:
        return change(1, ("seat", Form.FIRST), name=name)

    far = at("uid=x,ou=far")
    assert told([far, *some(FEW - 1)]) == {"id-1": "the only user in its container"}
    assert told([at("uid=x,OU=People"), *some(FEW - 1)]) == {}
    assert told([at(r"uid=x\2c y,ou=people"), *some(FEW - 1)]) == {}
    assert told([at(r"uid=x\,ou=far,ou=people"), *some(FEW - 1)]) == {}
    assert told([at('uid="x,y",ou=far'), *some(FEW - 1)]) == {"id-1": "the only user in its container"}
    for name in ("no name", "x, y", 'uid="x,ou=far'):
        assert told([at(name), *some(FEW - 1)]) == {}
    many = [change(n, ("seat", Form.FIRST), name=f"uid=x,ou=far{n}") for n in range(2)]
    assert told([*many, *some(FEW)]) == {}
    other = [change(n, ("line", Form.FIRST), name=f"uid=y{n},ou=q") for n in range(FEW)]
    assert told([far, *some(FEW - 2), *other]) == {}, "of a kind that has few users"


@pytest.mark.parametrize(
    ("new", "odd"),
    [
        ("7001", True),
        ("700", True),
        ("77-11", True),
        ("\u0667\u0667\u0667", True),
        ("abc", False),
        ("\u00e9", False),
        (b"7", False),
    ],
)
def test_a_value_of_another_shape_is_worth_a_look(new: str | bytes, odd: bool) -> None:
    """Letters in a row are one, and digits are alike; of secrets nothing is told."""
    one = change(1, ("seat", Form.FIRST), new=new)
    assert told([one, *some(FEW - 1)]) == ({"id-1": "seat: a value of another shape"} if odd else {})
    digits = [
        replace(each, attributes=(replace(each.attributes[0], new=(f"{n:03}",)),)) for n, each in enumerate(some(30))
    ]
    shown = told([one, *digits]).get("id-1")
    if new == "700":
        assert shown == "seat 700 is outside its neighbours (0 to 29)"
    elif new == "7001":
        assert shown == "seat 7001 is outside its neighbours (0 to 29); seat: a value of another shape"
    else:
        assert (shown is not None) is (new not in ("\u0667\u0667\u0667", b"7"))
    for several, told_of in ((("abc", "7"), False), (("7", "abc"), True)):
        both = replace(one, attributes=(replace(one.attributes[0], new=several),))
        assert bool(told([both, *some(FEW - 1)])) is told_of, "by the first value"
    secret = change(1, ("seat", Form.FIRST), new=Secret("7001"))
    assert told([secret, *some(FEW - 1)]) == {}


def test_each_attribute_of_a_kind_has_its_own_shapes() -> None:
    """Also where one is emptied, and where a merged kind has attributes that one of its changes has not."""
    forms = (("line", Form.EMPTIED), ("seat", Form.FIRST))
    many = [replace(each, attributes=(replace(each.attributes[0], new=()), each.attributes[1]))
            for each in (change(number, *forms) for number in range(FEW))]  # fmt: skip
    line, seat = many[0].attributes
    odd = replace(many[0], attributes=(line, replace(seat, new=("7",))))
    assert told([odd, *many[1:]]) == {"id-0": "seat: a value of another shape"}
    merged = replace(odd, attributes=(replace(seat, new=("7",)),))
    (kind,) = find_kinds(many[1:])
    both = replace(kind, changes=(*kind.changes, merged))
    assert [(look.user.id, look.why) for look in worth_a_look([both])] == [("id-0", "seat: a value of another shape")]


def moved(number: int, old: str, new: str, form: Form = Form.TAKEN_OVER) -> Change:
    made = change(number, ("seat", form))
    return replace(made, attributes=(AttributeChange("seat", (old,), (new,), form=form),))


def test_who_takes_a_value_over_is_told_from_whom_or_with_whom_it_is_swapped() -> None:
    taker, giver = moved(1, "10", "11"), moved(2, "11", "12", Form.OURS)
    (look,) = worth_a_look(find_kinds([taker, giver, *some(30)]))
    assert (look.why, look.others) == ("seat 11 taken over from u002", (giver.user,))
    swapped = [taker, moved(2, "11", "10")]
    looks = worth_a_look(find_kinds([*swapped, *some(30)]))
    assert [look.why for look in looks] == ["swaps seat 10/11 with u002", "swaps seat 11/10 with u001"]
    assert [look.others for look in looks] == [(swapped[1].user,), (swapped[0].user,)]
    ring = [taker, moved(2, "11", "12"), moved(3, "12", "10")]
    assert told([*ring, *some(30)]) == {
        "id-1": "seat 11 taken over from u002",
        "id-2": "seat 12 taken over from u003",
        "id-3": "seat 10 taken over from u001",
    }
    emptied = replace(giver, attributes=(AttributeChange("seat", ("11",), (), form=Form.EMPTIED),))
    assert told([taker, emptied, *some(30)])["id-1"] == "seat 11 taken over from u002"
    assert told([taker, *some(30)]) == {"id-1": f"{Form.TAKEN_OVER}: seat"}, "nobody of the plan has it"
    other = replace(giver, attributes=(replace(giver.attributes[0], name="line"),))
    assert told([taker, other, *some(30)])["id-1"] == f"{Form.TAKEN_OVER}: seat"


def test_a_number_outside_its_neighbours_is_told_whatever_its_kind() -> None:
    seats = [moved(number, "", str(6000 + number), Form.FIRST) for number in range(100, 130)]
    odd = [moved(1, "1", "9871", Form.OURS), moved(2, "", "123456789012", Form.FIRST)]
    assert told([*odd, *seats]) == {
        "id-1": "seat 9871 is outside its neighbours (6100 to 6129)",
        "id-2": "seat 123456789012 is outside its neighbours (6100 to 6129); seat: a value of another shape",
    }
    texts = [
        moved(1, "", "9871 ", Form.FIRST),
        moved(2, "", "\u0669" * 4, Form.FIRST),
        moved(3, "", "9" * 99, Form.FIRST),
    ]
    assert "neighbours" not in "".join(told([*texts, *seats]).values())
    line = replace(odd[0], attributes=(replace(odd[0].attributes[0], name="line"),))
    assert told([line, *seats]) == {}, "numbers of another attribute are no neighbours"


def test_a_user_with_several_reasons_is_told_once_with_all_the_riskiest_first() -> None:
    odd = change(1, ("seat", Form.TAKEN_OVER), rule=2, inactive=True)
    other = change(2, ("seat", Form.FIRST), inactive=True)
    found = told([other, *some(FEW), odd])
    assert list(found) == ["id-1", "id-2"]
    assert found["id-1"] == f"{Form.TAKEN_OVER}: seat; a disabled account; the only user by rule 2"
