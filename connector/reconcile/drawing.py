"""Drawing the plan: from claims, and what had to be asked about them, to a plan as a value.

A draft first collects what is still to be asked of the directory: secrets that were not shown, attributes that may be
hidden from us, and who holds single-holder values. Its answers settle it, and then the plan is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator
from datetime import datetime
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    Change,
    Description,
    Fingerprint,
    Holds,
    Memory,
    Objection,
    Plan,
    Problem,
    Question,
    Secret,
    Summary,
    Tenant,
    User,
    UserRef,
)
from connector.reconcile import stale
from connector.reconcile.assembly import assembled, counts, fallen, tugs_of_war, users_by_attribute
from connector.reconcile.claims import Verdicts
from connector.reconcile.differences import Differ, Difference
from connector.reconcile.digests import digest_of_change
from connector.reconcile.limits import Limits, Whole, refusals
from connector.reconcile.mapping import Mapping
from connector.reconcile.moves import Moves
from connector.reconcile.people import Never

PROBES = 10
"""How many users are asked about an attribute that no user showed a value of, before it counts as readable."""


class Wish(Struct, frozen=True, gc=False):
    """One user's change before it is drawn; `agent` None: nobody claims the user any more."""

    user: UserRef
    agent: AgentRef | None
    rule: int | None
    difference: Difference


class Draft:
    """Claims on their way to a plan; `now` is when it is drawn.

    `confirmed`: by user id and attribute, the fingerprint of each secret that was compared unseen and found there; the
    empty one where it is to be gone and is.
    """

    def __init__(
        self, tenant: Tenant, mapping: Mapping, description: Description, differ: Differ, now: datetime
    ) -> None:
        self._tenant = tenant
        self._now = now
        self.confirmed: dict[tuple[str, str], str] = {}
        self._mapping = mapping
        self._description = description
        self._differ = differ
        self.problems = list(differ.problems)
        self.wishes: list[Wish] = []
        self.stale: list[stale.Unclaimed] = []
        self._secrets = any(rule.secret for rule in mapping.attributes)
        self._held: set[str] = set()
        self._spared: Callable[[AgentRef | None, UserRef], bool] = lambda agent, user: False
        self._again: set[tuple[str, str]] = set()
        self.cautions = [*description.cautions, *differ.cautions]
        self._unsure = bool(tenant.invalid)
        self._summary = Summary()

    def claims(self, verdicts: Verdicts, never: Never, only: Collection[str] = ()) -> None:
        """Take in what became of the agents: wishes for the matched, a problem line for every other."""
        for invalid in self._tenant.invalid:
            ref = AgentRef(invalid.work_no, invalid.account_code)
            self.problems.append(Problem("invalid", invalid.why, agent=ref, record=invalid.record))
        for without in (verdicts.unmatched, verdicts.ambiguous, verdicts.contested):
            self.problems += without.values()
        self._unsure |= verdicts.unsure
        self._spared = never.spares()
        left_out = 0
        for claim in verdicts.matched:
            difference = claim.difference
            if not difference.changes and not difference.faults:
                continue
            agent = self._tenant.agents[claim.agent]
            ref, user = AgentRef(agent.work_no, agent.account_code), claim.user
            if self._spared(ref, user):
                why = "the never-list says hands off; otherwise it would be changed"
                self.problems.append(Problem("never", why, agent=ref, users=(user.name,), rule=claim.rule))
                self._held.add(user.id)
                continue
            self.problems += difference.faults
            if not difference.changes:
                self._held.add(user.id)
                continue
            if only and not {agent.account_code, str(agent.work_no)} & set(only):
                self._held.add(user.id)
                left_out += 1
                continue
            self.wishes.append(Wish(user, ref, claim.rule, difference))
        if only:
            names = ", ".join(sorted(set(only)))
            self.cautions.append(
                f"restricted to the agents {names} (--only): {left_out} other users that differ are left out"
            )
        self._summary = Summary(
            agents=self._tenant.size,
            matched=len(verdicts.matched),
            unmatched=len(verdicts.unmatched),
            ambiguous=len(verdicts.ambiguous),
            contested=len(verdicts.contested),
            unassigned=verdicts.unassigned,
            invalid=len(self._tenant.invalid),
        )

    @property
    def unsure(self) -> bool:
        """Whether there are agents that could not be looked for, who may be anybody."""
        return self._unsure

    def forgotten(
        self,
        memory: Memory,
        claimed: Container[str],
        adopted: Iterable[User] = (),
        only: Collection[str] = (),
    ) -> list[UserRef]:
        """Users that hold something of ours and that no agent claims; those of them whose values are to be cleared.

        `adopted`: users that hold a value of an attribute that is ours whoever wrote it.
        """
        self.stale = stale.unclaimed(memory, claimed, adopted, self._differ.adopted)
        policy = self._mapping.stale
        if policy != "report" and self._unsure and self.stale:
            self.cautions.append(stale.UNSURE)
        due, problems = stale.judged(self.stale, policy, memory, self._now)
        self.problems += problems
        clearing = policy != "report" and not (self._unsure or only or self._tenant.size == 0)
        return [ref for ref in due if not self._spared(None, ref)] if clearing else []

    def clear(self, users: Iterable[User]) -> None:
        """Wish our values away from these users.

        One that does not show what a match rule looks at may well be somebody's, and is left as it is.
        """
        written = {ref.id: names for ref, names in self.stale}
        looked_at = stale.to_be_shown(self._mapping, self._description)
        for user in users:
            if self._spared(None, user.ref):
                continue  # by the name that it has now
            missing = [name for name in looked_at if name not in user.values]
            if missing:
                why = f"not cleared: it shows no {' and no '.join(missing)}, by which an agent might claim it"
                self.problems.append(Problem("stale", why, users=(user.name,)))
                continue
            difference = self._differ.clearing(user, written[user.id])
            self.problems += difference.faults
            if difference.changes:
                self.wishes.append(Wish(user.ref, None, None, difference))

    # ------------------------------------------------------------ what is to be asked

    def questions(self, shown: Collection[str]) -> list[Question]:
        """Secrets that were not shown, and a sample of attributes of which no user `shown` anything."""
        asked = []
        infos = self._description.attributes
        names = {rule.name for rule in self._mapping.attributes}
        probes = dict.fromkeys((name for name in names - set(shown) if infos[name].readable is None), PROBES)
        if not (probes or self._secrets):
            return []
        for wish in self.wishes:
            for change in wish.difference.changes:
                if change.secret and not change.seen:
                    asked.append(Question(wish.user, change.name, change.new[0] if change.new else Secret("-")))
                elif probes.get(change.name) and change.new and not change.old:
                    probes[change.name] -= 1
                    asked.append(Question(wish.user, change.name, change.new[0]))
        return asked

    def answers(self, given: Iterable[tuple[Question, Holds]], memory: Memory, fingerprint: Fingerprint) -> None:
        """Leave out what is there already, and what may not be read; give every secret its fingerprint."""
        secrets, hidden = {}, set()
        for question, answer in given:
            if isinstance(question.value, Secret):
                secrets[question.user.id, question.attribute] = answer
            elif answer is not Holds.ABSENT:
                hidden.add(question.attribute)
        why = "may not be read here, so it is unknown rather than absent, and nothing is planned for it"
        self.problems += [Problem("unreadable", f"{name} {why}", attribute=name) for name in sorted(hidden)]

        def keep(user: UserRef, change: AttributeChange) -> AttributeChange | None:
            if not change.secret:
                if change.name not in hidden:
                    return change
                self._held.add(user.id)
                return None
            print_ = fingerprint(user, change.name, change.new[0]) if change.new else ""
            answer = secrets.get((user.id, change.name), Holds.OTHER)
            there = answer is (Holds.SAME if change.new else Holds.ABSENT)
            if answer is (Holds.SAME if print_ else Holds.ABSENT):
                self.confirmed[user.id, change.name] = print_
            if answer is Holds.UNKNOWN:
                there = self._remembered(user, change, print_, memory)
            return None if there else replace(change, fingerprint=print_)

        if hidden or self._secrets:
            self._narrow(keep)

    def _narrow(self, keep: Callable[[UserRef, AttributeChange], AttributeChange | None]) -> None:
        """Keep of every change what `keep` says, and of the users those who are left with something new."""
        kept = []
        for wish in self.wishes:
            changes = [keep(wish.user, change) for change in wish.difference.changes]
            left = tuple(change for change in changes if change is not None)
            if self._news(wish.user, left):
                kept.append(replace(wish, difference=replace(wish.difference, changes=left)))
        self.wishes = kept

    def _remembered(self, user: UserRef, change: AttributeChange, print_: str, memory: Memory) -> bool:
        """Whether a secret that cannot be compared is there by its fingerprint, and stays without being written."""
        there = (memory.fingerprint_of(user.id, change.name) or "") == print_
        if there and change.new and self._description.replaces:
            self._again.add((user.id, change.name))
            return False
        return there

    def _news(self, user: UserRef, changes: tuple[AttributeChange, ...]) -> tuple[AttributeChange, ...]:
        """Those that are not secrets which are there, and are written again with the others lest they be lost."""
        again = self._again
        return tuple(each for each in changes if (user.id, each.name) not in again) if again else changes

    def written_again(self, unsure: Iterable[Change]) -> None:
        """Say so of the secrets in `unsure`, writes that may have happened, that this plan sets again."""
        secrets = {(change.user.id, each.name) for change in unsure for each in change.attributes if each.secret}
        again = {wish.user.id for wish in self.wishes for each in wish.difference.changes
                 if (wish.user.id, each.name) in secrets} if secrets else ()  # fmt: skip
        if again:
            whose = "one user" if len(again) == 1 else f"{len(again)} users"
            self.cautions.append(
                f"a run was interrupted while it wrote secrets of {whose}: they can be neither read nor compared, and "
                "are written again"
            )

    def changes(self) -> Iterator[Change]:
        """The changes so far, whole, for the directory to say what it has against them."""
        for wish in self.wishes:
            yield Change(wish.user, wish.agent, wish.rule, self._differ.with_classes(wish.difference))

    def objected(self, objections: Iterable[Objection]) -> None:
        """Leave out what the directory objects to; without an object class, whatever needs it."""
        against: dict[str, dict[str, Objection]] = {}
        for objection in objections:
            against.setdefault(objection.user, {}).setdefault(objection.attribute, objection)
        if not against:
            return
        kept = []
        for wish in self.wishes:
            objected = against.get(wish.user.id)
            if objected is None:
                kept.append(wish)
                continue
            bare = self._differ.without_classes(wish.difference)
            left = []
            for change in wish.difference.changes:
                found = objected.get(change.name) or (None if change in bare else objected.get(OBJECT_CLASS))
                if found is None:
                    left.append(change)
                    continue
                about = (wish.agent, (wish.user.name,), wish.rule, change.name)
                self.problems.append(Problem(found.kind, found.why, *about))
            if left:
                kept.append(replace(wish, difference=replace(wish.difference, changes=tuple(left))))
            elif wish.agent:
                self._held.add(wish.user.id)
        self.wishes = kept

    # ------------------------------------------------------------ the plan

    def moves(self) -> Moves:
        """The changes so far, ready to be held to single-holder values."""
        changes = [
            Change(wish.user, wish.agent, wish.rule, wish.difference.changes)
            for wish in sorted(self.wishes, key=attrgetter("user.name", "user.id"))
        ]
        return Moves(changes, self._mapping, self._description)

    def plan(
        self,
        settled: tuple[list[Change], list[Problem]],
        memory: Memory,
        limits: Limits,
        *,
        job: str,
        plan_id: str,
        created: str,
        about: tuple[tuple[str, str], ...] = (),
    ) -> Plan:
        """The plan, its refusals included, from what `Moves.settle` gave."""
        changes, problems = settled
        problems = list(problems)
        differences = {wish.user.id: wish.difference for wish in self.wishes}
        drawn = []
        for change in changes:
            difference = differences[change.user.id]
            if change.attributes is not difference.changes:  # a move had to be left out
                difference = replace(difference, changes=change.attributes)
            whole = replace(change, attributes=self._differ.with_classes(difference))
            if difference.relies:
                problems += fallen(change, whole)
            if self._news(whole.user, whole.attributes):
                drawn.append(replace(whole, digest=digest_of_change(whole)))
        new = (replace(change, attributes=self._news(change.user, change.attributes)) for change in drawn)
        problems = [*self.problems, *problems, *tugs_of_war(new, memory)]
        if self._differ.rehearsal.blind:
            self.cautions.append(
                "some users do not show their object classes: nobody can say whether these allow what is planned"
            )
        # a wish that comes to no change was held back by a value that is not free
        touched = self._held | {wish.user.id for wish in self.wishes if wish.agent}
        unchanged = self._summary.matched - len(touched)
        summary = replace(self._summary, stale=len(self.stale), unchanged=unchanged, **counts(drawn))
        owned = len({ref.id for ref, _ in [*memory.owned(), *self.stale]}) if summary.clear else 0
        of = Whole(summary.matched, owned, memory.last_agents())
        refused = refusals(limits, summary, of, users_by_attribute(drawn, limits))
        return assembled(
            drawn, problems, summary, refused,
            job=job, plan_id=plan_id, created=created, about=about, cautions=self.cautions,
        )  # fmt: skip
