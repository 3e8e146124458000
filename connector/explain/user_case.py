"""A user explained: the agents that look for it, or why none claims it and what becomes of what this job wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from connector.errors import IncompleteRead
from connector.explain.case import Case
from connector.matching.lookup import Lookup
from connector.matching.near_misses import MOST_KEYS
from connector.matching.selection import named_users
from connector.matching.variants import spellings
from connector.model import Key, Plan, User, UserRef
from connector.model.equality import plain
from connector.planning.explanation import Explanation
from connector.planning.leavers import stale_users
from connector.planning.leavers.leavers import placed
from connector.planning.leavers.stale_users import Place, Unclaimed


class UserCase(Case):
    """A case that may begin with a user."""

    def explain_user(self, directory: Lookup, written: str) -> list[Explanation]:
        """A user by name, id, or value of a match attribute, if no agent claims it; and each agent that looks for it.

        Nothing: there is none.
        """
        named, keys = self.naming.among([written]), self.naming.keys(written)
        found = named_users(directory, written, self.naming, self.searched)
        self._users |= {user.id: user for user in found}
        ids = {user.id for user in found}
        ours = stale_users.unclaimed(
            self.brief.memory,
            lambda ref: ref.id in ids or named(ref),
            found,
            self.differ.adopted,
        ).unclaimed
        witness = (
            None
            if all(each.user.id in ids for each in ours)
            else self._witness(directory)
        )
        ours = placed(directory, ours, self.brief.description, witness)
        within = {
            each.user.id: each.now
            for each in ours
            if each.now and each.place is Place.WITHIN
        }
        renamed = {
            id_: user
            for id_, user in within.items()
            if id_ not in ids and not named(user.ref)
        }
        # a name that is a user's, and by which the server finds nobody, is none to it: it
        # is no DN there
        ours = [
            each
            for each in ours
            if each.user.id in ids | renamed.keys() or each.user.id not in within
        ]
        found += renamed.values()
        agents = sorted(
            {number for user in found for number, _ in self.roster.seekers(user)}
        )
        verdicts, plan = self._plan(directory, agents, ours)
        nobodys = self.nobodys(verdicts)
        told = [self._stale(each, plan) for each in ours if nobodys(each.user)]
        of_ours = {each.user.id for each in ours}
        unsought = [
            user for user in found if nobodys(user.ref) and user.id not in of_ours
        ]
        back, _ = self._cleared_and_back(directory, verdicts) if unsought else ((), 0)
        for user in unsought:
            why = self._unsought(directory, user, agents)
            problems = tuple(line for line in back if user.name in line.users)
            told.append(
                Explanation(None, "untouched", why, user=user.ref, problems=problems)
            )
        if not found and not ours:
            told = self._beyond(directory, keys, named)
        for number in agents:
            told.append(self.explain(directory, number))
        return told

    def _witness(self, directory: Lookup) -> str | None:
        """The id of a user that is there, and can be seen."""
        try:
            return next(
                (user.id for user in directory.scan() if user.ref.identified),
                None,
            )
        except IncompleteRead:
            return None

    def _stale(self, each: Unclaimed, plan: Plan) -> Explanation:
        """A user of ours that nobody claims: why it is cleared, or is not."""
        names = {each.user.name, each.now.name if each.now else each.user.name}
        problems = tuple(
            line
            for line in plan.problems
            if line.agent is None and names & {*line.users}
        )
        change = next(
            (change for change in plan.changes if change.user.id == each.user.id), None
        )
        mapping, why = (
            self.brief.mapping,
            "this job wrote to it, and no agent claims it",
        )
        if change is not None:
            why += ": its values are cleared"
        elif problems and all(line.why == stale_users.CHANGED for line in problems):
            return Explanation(
                None,
                "untouched",
                f"{why}: {stale_users.CHANGED}",
                user=each.user,
                problems=problems,
            )
        elif each.place is Place.WITHIN and mapping.stale == "report":
            why += ": its values are kept, since `stale` is report"
        elif each.place is Place.WITHIN and stale_users.UNSURE in plan.cautions:
            why += f"; {stale_users.UNSURE}"
        elif self.exclude.spares(self.naming, self.brief.memory.agents([each.user.id]))(
            None, each.user
        ):
            why += ": on the exclude list"
        return Explanation(
            None, "stale", why, user=each.user, change=change, problems=problems
        )

    def _unsought(self, directory: Lookup, user: User, agents: Sequence[int]) -> str:
        """Why no agent claims a user that holds nothing of ours, and which agents without a user almost do."""
        if agents:
            return "the agents that look for it claim other users"
        names = dict.fromkeys(name for _, name in self.roster.attributes())
        held = dict.fromkeys(
            f"{name} {value!r}" if isinstance(value, str) else f"{name} (no text)"
            for name in names
            for value in user.values.get(name, ())
        )
        missing = [name for name in names if not user.values.get(name)]
        why = f"no agent looks for {' or '.join(held)}" if held else ""
        why += (
            ("; it" if why else "it") + f" shows no {' and no '.join(missing)}"
            if missing
            else ""
        )
        near = self._nearly_looking(directory, user)
        return f"{why}; almost: {', '.join(near)}" if near else why

    def _nearly_looking(self, directory: Lookup, user: User) -> list[str]:
        """Agents without a user that look for a value like one of this user's."""
        near: dict[int, str] = {}
        for name in dict.fromkeys(name for _, name in self.roster.attributes()):
            for value in user.values.get(name, ()):
                for how, text in islice(spellings(str(plain(value)), ()), MOST_KEYS):
                    for number, _ in self.roster.seekers(
                        User(user.id, user.name, {name: (text,)})
                    ):
                        near.setdefault(number, f"{name}: differs in {how}")
        verdicts = self._judge(directory, near)
        agents = {
            number: self.tenant.agents[number]
            for number in near
            if number in verdicts.unmatched
        }
        return [f"{each.ref} ({near[number]})" for number, each in agents.items()]

    def _beyond(
        self, directory: Lookup, keys: Sequence[Key], named: Callable[[UserRef], bool]
    ) -> list[Explanation]:
        """A user that base and filter leave out, and of which this job has written nothing."""
        why = "base or filter leaves it out: no run reads or writes it"
        try:
            users = list(directory.find_outside(keys))
        except IncompleteRead:
            return []
        return [
            Explanation(None, "outside", why, user=user.ref)
            for user in users
            if named(user.ref)
        ]
