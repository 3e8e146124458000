"""An overview of many changes: which are alike, in which order, and which users are worth a look."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from connector.model import OBJECT_CLASS, AgentRef, AttributeChange, Change, Form, Secret, UserRef
from connector.reconcile.overview.change_kinds import MOST, kinds_of
from connector.reconcile.overview.outliers import FEW, worth_a_look


def change(
    number: int, *attributes: tuple[str, Form | None], rule: int | None = 1, name: str = "", agent: bool = True,
    new: str | bytes | Secret = "x", disabled: bool = False, account: str | None = "ann",
) -> Change:  # fmt: skip
    """A user's change of these attributes, each of this form."""
    made = tuple(AttributeChange(each, (), (new,), isinstance(new, Secret), form=form) for each, form in attributes)
    user = UserRef(f"id-{number}", name or f"uid=u{number:03},ou=people")
    return Change(user, AgentRef(number, account) if agent else None, rule, made, disabled=disabled)


def some(
    count: int, form: Form = Form.FIRST, *, start: int = 100, attribute: str = "seat", rule: int = 1
) -> list[Change]:
    return [change(number, (attribute, form), rule=rule) for number in range(start, start + count)]


def told(changes: Iterable[Change]) -> dict[str, str]:
    """By id, why a user is worth a look."""
    return {look.user.id: look.why for look in worth_a_look(kinds_of(changes))}


# ---------------------------------------------------------------- kinds


def test_changes_of_one_rule_and_the_same_forms_are_one_kind_the_riskiest_first() -> None:
    """Whoever is cleared is not of the kind of those that have an agent; nothing is lost."""
    changes = [
        change(1, ("seat", Form.FIRST)), change(2, ("seat", Form.FIRST)), change(3, ("seat", Form.FIRST), rule=2),
        change(4, ("line", Form.OURS), ("seat", Form.FOREIGN)), change(5, ("seat", Form.FIRST), rule=None, agent=False),
        change(6, ("seat", Form.FIRST), (OBJECT_CLASS, None)),
    ]  # fmt: skip
    found = kinds_of(changes)
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
    assert kinds_of([classes]) == []
    assert [(kind.form, kind.forms) for kind in kinds_of([classes, change(2, ("seat", Form.FIRST))])] == [
        (Form.BESIDE, ()),
        (Form.FIRST, ((Form.FIRST, ("seat",)),)),
    ]


def test_too_many_kinds_are_merged_from_the_least_risky_on() -> None:
    """First those of one rule, then of all; a kind of its own keeps its rule."""
    first = [change(n, (f"a{n}", Form.FIRST), rule=n % 2 + 1) for n in range(MOST)]
    assert len(kinds_of(first)) == MOST
    risky = [change(100 + n, (f"b{n}", Form.FOREIGN)) for n in range(3)]
    found = kinds_of([*reversed(first), *risky])
    assert [(kind.form, kind.rule, kind.users, kind.merged) for kind in found] == [
        *[(Form.FOREIGN, 1, 1, 1)] * 3,
        (Form.FIRST, 1, MOST // 2, MOST // 2),
        (Form.FIRST, 2, MOST // 2, MOST // 2),
    ]
    names = [each.user.name for each in found[3].changes]
    assert names == sorted(names)
    assert sum(kind.users for kind in found) == MOST + 3


def test_where_rules_alone_are_too_many_they_are_merged_too() -> None:
    found = kinds_of([change(n, ("seat", Form.FIRST), rule=n) for n in range(1, MOST + 2)])
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


# ---------------------------------------------------------------- unlike the rest


def test_the_only_user_by_a_rule_or_a_pin_is_worth_a_look_where_there_are_many() -> None:
    alone = [change(1, ("seat", Form.FIRST), rule=2), change(2, ("seat", Form.FIRST), rule=0)]
    assert told([*alone, *some(FEW - 3)]) == {}
    assert told([*alone, *some(FEW - 2)]) == {"id-1": "the only user by rule 2", "id-2": "the only user by a pin"}
    assert told([change(1, ("seat", Form.FIRST), rule=None, agent=False), *some(FEW)]) == {}


def test_the_only_disabled_account_of_a_kind_is_and_many_are_not() -> None:
    odd = [change(n, ("seat", Form.FIRST), disabled=True) for n in (1, 2)]
    assert told([odd[0], *some(FEW)]) == {"id-1": "a disabled account"}
    assert told([*odd, *some(FEW)]) == {}
    assert told([*odd, *some(198)]) == dict.fromkeys(("id-1", "id-2"), "a disabled account")


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
    rest = [change(n, ("seat", Form.FIRST), name=f"uid=u{n},{name.partition(',')[2]}") for n in range(100, 118)]
    one = change(1, ("seat", Form.FIRST), name=name, account=account)
    assert (told([one, *rest, *some(1)]).get("id-1", "").startswith("looks like a service account")) is odd


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
    ("new", "odd"), [("7001", True), ("700", True), ("77-11", True), ("abc", False), ("\u00e9", False), (b"7", False)]
)
def test_a_value_of_another_shape_is_worth_a_look(new: str | bytes, odd: bool) -> None:
    """Letters in a row are one, and digits are alike; of secrets nothing is told."""
    one = change(1, ("seat", Form.FIRST), new=new)
    assert told([one, *some(FEW - 1)]) == ({"id-1": "seat: a value of another shape"} if odd else {})
    digits = [
        replace(each, attributes=(replace(each.attributes[0], new=(f"{n:03}",)),)) for n, each in enumerate(some(30))
    ]
    assert ("id-1" in told([one, *digits])) is (new not in ("700", b"7"))
    for several, told_of in ((("abc", "7"), False), (("7", "abc"), True)):
        both = replace(one, attributes=(replace(one.attributes[0], new=several),))
        assert bool(told([both, *some(FEW - 1)])) is told_of, "by the first value"
    secret = change(1, ("seat", Form.FIRST), new=Secret("7001"))
    assert told([secret, *some(FEW - 1)]) == {}


def test_a_user_with_several_reasons_is_told_once_with_all_the_riskiest_first() -> None:
    odd = change(1, ("seat", Form.TAKEN_OVER), rule=2, disabled=True)
    other = change(2, ("seat", Form.FIRST), disabled=True)
    found = told([other, *some(FEW), odd])
    assert list(found) == ["id-1", "id-2"]
    assert found["id-1"] == f"{Form.TAKEN_OVER}: seat; the only user by rule 2; a disabled account"
