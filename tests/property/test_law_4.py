"""Law 4, as reviewed: what `apply --plan` writes is a part of what the saved plan showed, whatever has become since."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import HealthCheck, event, given, settings, strategies as st

from connector.errors import RefusedError
from connector.model import AttributeChange, Change, Plan, Result, Secret, UserRef, Value
from connector.model.digests import make_fingerprinter
from tests.support.mortal import DeathError, Mortal
from tests.support.worlds import BASE, World, busy_tenants, busy_worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
Values = Mapping[str, tuple[Value, ...]]


def somebody_else(data: st.DataObject, mortal: Mortal) -> None:
    """Another program changes, renames, moves away, or takes the classes of, one of the users."""
    store = mortal.world.store
    id_ = data.draw(st.sampled_from(sorted(store.entries)))
    name, values = store.snapshot()[id_]
    some: dict[str, tuple[Value, ...]] = dict(values)
    what = data.draw(st.sampled_from(["seat", "seat", "line", "password", "nothing", "name", "base", "classes"]))
    number = data.draw(st.integers(0, 6).map(str))
    if what in ("seat", "line", "password"):
        some["objectClass"] = tuple(dict.fromkeys((*values["objectClass"], "cecAgent", "SIPIdentity")))
        attribute = {"seat": "cecWorkNo", "line": "SIPIdentityUserName", "password": "SIPIdentityPassword"}[what]
        new: Value = number.encode() if what == "password" else number
        some[attribute] = data.draw(st.sampled_from([(), (new,)]))
    elif what == "nothing":
        some["description"] = (number,)
    elif what == "classes" and not any(each in values for each in ("cecWorkNo", "cecAccountCode")):
        some["objectClass"] = ("inetOrgPerson",)
        some = {each: held for each, held in some.items() if not each.startswith("SIP")}
    base = "ou=elsewhere,dc=example,dc=org" if what == "base" else BASE
    store.put(id_, f"uid=renamed{number},{base}" if what in ("name", "base") else name, some)


def shown(mortal: Mortal, plan: Plan) -> None:
    """Every write of the log is one that the plan showed, of a user who was as the plan showed it."""
    planned = {change.user.id: change for change in plan.changes}
    for before, after in mortal.seen:
        for id_ in before:
            if before[id_] != after[id_]:
                assert before[id_][0] == after[id_][0] == planned[id_].user.name
                _is_part_of(planned[id_], before[id_][1], after[id_][1], mortal)


def _is_part_of(change: Change, before: Values, after: Values, mortal: Mortal) -> None:
    attributes = {each.name: each for each in change.attributes}
    for name in before.keys() | after.keys():
        was, now = before.get(name, ()), after.get(name, ())
        if set(was) == set(now):
            continue
        each = attributes[name]
        if each.secret:
            _is_the_secret(change.user, each, now, mortal)
            continue
        assert set(was) - set(now) <= set(each.old)
        assert set(now) - set(was) <= set(each.new)
        unique = name in ("cecWorkNo", "SIPIdentityUserName")
        assert name == "objectClass" or set(was) == set(each.old) or (unique and not was)


def _is_the_secret(user: UserRef, each: AttributeChange, now: tuple[Value, ...], mortal: Mortal) -> None:
    print_ = make_fingerprinter(mortal.world.key)
    assert [print_(user, each.name, Secret(value)) for value in now] == ([each.fingerprint] if each.fingerprint else [])


@law
@given(busy_worlds(), st.data())
def test_what_a_reviewed_apply_writes_is_a_part_of_what_the_plan_showed(world: World, data: st.DataObject) -> None:
    mortal = Mortal(world)
    count = len(world.store.entries)
    if data.draw(st.booleans()):
        mortal.apply()
        mortal.world.tenant = data.draw(busy_tenants(count))
    plan = mortal.save()
    mortal.seen.clear()
    for _ in range(data.draw(st.integers(0, 2))):
        somebody_else(data, mortal)
    if data.draw(st.booleans()):
        mortal.world.tenant = data.draw(busy_tenants(count))
    if data.draw(st.booleans()):
        mortal.meddle = lambda: somebody_else(data, mortal) if data.draw(st.integers(0, 3)) == 0 else None
    for last in (*data.draw(st.lists(st.integers(1, 40), max_size=2)), None):
        try:
            run = mortal.apply(plan, last)
        except DeathError:
            event("died")
        except RefusedError:  # it died after its end
            break
        else:
            assert {change.user.id for change in plan.changes} <= {each.user.id for each in run.outcomes or ()}
            conflicts = {each.user.id for each in run.outcomes or () if each.result is Result.CONFLICT}
            event("with conflicts" if conflicts else "without conflicts")
            break
    event("with writes" if mortal.seen else "without writes")
    shown(mortal, plan)
