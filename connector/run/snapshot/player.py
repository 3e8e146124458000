"""Answers a planner's questions from a snapshot, in the order in which they were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar, cast

from msgspec.structs import replace

from connector import errors
from connector.errors import ConnectorError
from connector.model import Agent, Description, Held, Invalid, Memory, Moment, Tenant, UserRef
from connector.reconcile.questions import Query
from connector.run.snapshot.codec import MisfitError, as_json, from_json
from connector.run.snapshot.interchange import Answer, answer_of, answer_of_state, asked_of, said_to_state
from connector.run.snapshot.tape import Line, TapeReader

T = TypeVar("T")
_GIVEN: Final = {
    "plan_id": str,
    "now": Moment,
    "about": tuple[tuple[str, str], ...],
    "everybody": bool,
    "only": tuple[str, ...],
}


class Player:
    """Plays a snapshot once. Raises FileError where it does not fit what is asked."""

    def __init__(self, tape: TapeReader) -> None:
        self._tape = tape
        self.memory = cast("Memory", PlayedMemory(self))

    def tenant(self) -> Tenant:
        head = self._tape.take("tenant")
        tenant: Tenant = self._value(Tenant, head.said)
        agents, invalid = self._value(tuple[int, int], head.about)
        return replace(
            tenant,
            agents=[self._value(Agent, self._tape.take("agent").said) for _ in range(agents)],
            invalid=[self._value(Invalid, self._tape.take("invalid").said) for _ in range(invalid)],
        )

    def description(self) -> Description:
        found: Description = self._value(Description, self._tape.take("directory").said)
        return found

    def given(self) -> dict[str, Any]:
        """The rest of what the planner was given."""
        said = self._tape.take("given").said
        if not isinstance(said, dict) or said.keys() != _GIVEN.keys():
            self._tape.wrong("this is no line of a snapshot")
        return {name: self._value(kind, said[name]) for name, kind in _GIVEN.items()}

    def answer(self, query: Query[Any]) -> Iterable[Any]:
        """What this question was answered with."""
        about, _, items = asked_of(query)
        line = self._asked("question", about)
        number = cast("int", line.of)
        taken = iter(items)
        self._follow(number, taken)
        if self._is("unanswered", number):
            raise self._fault("unanswered")
        return self._answers(number, answer_of(type(query)), taken)

    def state(self, about: list[str], answer: Answer) -> Any:
        """What the state answered."""
        line = self._asked("state", about)
        if answer.each:
            return self._answers(cast("int", line.of), answer, iter(()))
        return self._value(answer.kind, line.said)

    def on_secret(self, about: tuple[str, ...], _work: Callable[[], T], kind: object, /) -> T:
        """The answer that was written down; the secret is not here."""
        line = self._asked("secret", as_json(about))
        return cast("T", self._value(kind, line.said))

    def fingerprint(self, user: UserRef, attribute: str, _value: Held) -> str:
        return self.on_secret(("fingerprint", user.id, attribute), str, str)

    def ends(self) -> tuple[str, Sequence[tuple[str, str]]]:
        """The digest of the plan that was drawn, and what it was made from."""
        line = self._tape.take("plan")
        self._tape.end()
        return self._value(str, line.said), self._value(tuple[tuple[str, str], ...], line.about)

    def _answers(self, number: int, answer: Answer, taken: Iterator[Any]) -> Iterator[Any]:
        while True:
            self._follow(number, taken)
            if self._is("fault", number):
                raise self._fault("fault")
            if self._is("end", number):
                self._tape.take("end")
                return
            if not self._is("answer", number):
                self._tape.misfit("an answer is next")
            yield self._value(answer.kind, self._tape.take("answer").said)

    def _follow(self, number: int, taken: Iterator[Any]) -> None:
        """Take from the planner what the directory took of it before it went on."""
        while self._is("asks", number):
            nothing = object()
            item = next(taken, nothing)
            line = self._tape.take("asks")
            if item is nothing or as_json(item) != line.about:
                self._tape.misfit("here somebody else is looked for")

    def _is(self, what: str, number: int) -> bool:
        line = self._tape.peek()
        return line.what == what and line.of == number

    def _asked(self, what: str, about: Any) -> Line:
        line = self._tape.peek()
        if line.what != what or line.about != about:
            self._tape.misfit(f"something else is asked here: {next(iter(about))}")
        return self._tape.take(what)

    def _fault(self, what: str) -> ConnectorError:
        line = self._tape.take(what)
        kind = getattr(errors, str(line.about), None)
        if not (isinstance(kind, type) and issubclass(kind, ConnectorError)):
            self._tape.wrong("this is no line of a snapshot")
        what_, where = self._value(tuple[str, str], line.said)
        return kind(what_, where=where)

    def _value(self, kind: Any, data: Any) -> Any:
        try:
            return from_json(kind, data)
        except MisfitError:
            self._tape.wrong("this is no line of a snapshot")


class PlayedMemory:
    """What earlier runs had left behind."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answer = answer_of_state(name)
        return lambda *asked: self._player.state([name, *said_to_state(asked)], answer)
