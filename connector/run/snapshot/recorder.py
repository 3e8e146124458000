"""Writes down what a planner asks and what it is told, while a plan is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from msgspec.structs import replace

from connector.errors import ConnectorError, OutputError
from connector.model import Batch, Fingerprint, Held, Memory, Plan, Tenant, UserRef
from connector.reconcile.questions import Brief, Query, Search
from connector.run.snapshot.codec import as_json
from connector.run.snapshot.interchange import Answer, answer_of_state, asked_of, said_to_state
from connector.run.snapshot.tape import Line, TapeWriter

T = TypeVar("T")
Answering = Callable[[Query[Any]], Iterable[Any]]
"""What answers a planner's questions."""


class Recorder:
    """Records one plan, also one that fails; nothing is left where not even its agents could be read."""

    def __init__(self, tape: TapeWriter, head: Mapping[str, Any]) -> None:
        self._tape = tape
        self._number = 0
        self._begun = False
        self._working = False
        tape.write(Line("snapshot", said=head))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None) -> None:
        if not self._begun:
            self._tape.discard()
            return
        try:
            if kind is not None and not self._tape.ended and not isinstance(fault, OutputError):
                self._tape.write(Line("failed", said=kind.__name__))
        finally:
            self._tape.close()

    def begins(self, tenant: Tenant, brief: Brief, only: Collection[str]) -> Brief:
        """Write down what the planner is given; return it so that what it asks of it is written down as well."""
        self._begun = True
        whole = replace(tenant, agents=[], invalid=[])
        self._tape.write(Line("tenant", about=[len(tenant.agents), len(tenant.invalid)], said=as_json(whole)))
        for agent in tenant.agents:
            self._tape.write(Line("agent", said=as_json(agent)))
        for invalid in tenant.invalid:
            self._tape.write(Line("invalid", said=as_json(invalid)))
        self._tape.write(Line("directory", said=as_json(brief.description)))
        given = {name: as_json(getattr(brief, name)) for name in ("plan_id", "now", "about")}
        self._tape.write(Line("given", said={**given, "everybody": brief.show.everybody, "only": list(only)}))
        return replace(
            brief,
            memory=cast("Memory", RecordedMemory(brief.memory, self)),
            fingerprint=self._fingerprint(brief.fingerprint),
            on_secret=self.on_secret,
        )

    def answering(self, answer: Answering) -> Answering:
        """The same, and every question and answer is written down."""

        def answered(query: Query[Any]) -> Iterable[Any]:
            self._number += 1
            number = self._number
            about, field, items = asked_of(query)
            self._tape.write(Line("question", number, about))
            taken = self._taken(number, items)
            if field:
                each = {"take": Batch.users} if isinstance(query, Search) else {}  # so that every user is an answer
                query = replace(query, **{field: tuple(taken) if isinstance(items, tuple) else taken}, **each)
            return self._answers(number, self._or_fault("unanswered", number, lambda: answer(query)))

        return answered

    def ends(self, plan: Plan) -> None:
        """Write down which plan was drawn, and what it was made from."""
        self._tape.write(Line("plan", about=as_json(plan.about), said=plan.digest))

    def on_secret(self, about: tuple[str, ...], work: Callable[[], T], _kind: object, /) -> T:
        """Write down the answer and nothing that led to it."""
        if self._working:
            return work()
        self._working = True
        try:
            answer = work()
        finally:
            self._working = False
        self._tape.write(Line("secret", about=as_json(about), said=as_json(answer, [])))
        return answer

    def state(self, about: list[str], ask: Callable[[], Any], answer: Answer) -> Any:
        """An answer of the state, at once or one by one."""
        said = ask()
        if answer.each:
            self._number += 1
            self._tape.write(Line("state", self._number, about))
            return self._answers(self._number, said)
        self._tape.write(Line("state", about=about, said=as_json(said)))
        return said

    def _fingerprint(self, fingerprint: Fingerprint) -> Fingerprint:
        def told(user: UserRef, attribute: str, value: Held) -> str:
            about = ("fingerprint", user.id, attribute)
            return self.on_secret(about, lambda: fingerprint(user, attribute, value), str)

        return told

    def _taken(self, number: int, items: Iterable[T]) -> Iterator[T]:
        """What a question asks for, as it is taken."""
        for item in items:
            self._tape.write(Line("asks", number, as_json(item)))
            yield item

    def _answers(self, number: int, answers: Iterable[T]) -> Iterator[T]:
        found = iter(answers)
        while True:
            try:
                answer = self._or_fault("fault", number, lambda: next(found))
            except StopIteration:
                break
            self._tape.write(Line("answer", number, said=as_json(answer)))
            yield answer
        self._tape.write(Line("end", number))

    def _or_fault(self, what: str, number: int, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ConnectorError as fault:
            kind = next(each for each in type(fault).__mro__ if each.__module__ == ConnectorError.__module__)
            self._tape.write(Line(what, number, kind.__name__, [fault.what, fault.where]))
            raise


class RecordedMemory:
    """What earlier runs left behind, each answer written down."""

    def __init__(self, memory: Memory, recorder: Recorder) -> None:
        self._memory = memory
        self._recorder = recorder

    def __getattr__(self, name: str) -> Callable[..., Any]:
        ask, answer = getattr(self._memory, name), answer_of_state(name)
        return lambda *asked: self._recorder.state([name, *said_to_state(asked)], lambda: ask(*asked), answer)
