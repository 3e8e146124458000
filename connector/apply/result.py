"""What a run came to."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from connector.model import Ending, Outcome, Plan


class Run(Struct, frozen=True):
    """What a run came to: its plan; the outcomes where it was applied; whether it was refused.

    `aside`: users whose change was left out on purpose. `remembered`: the state could be written to its end. `tried`:
    every change was. `touched`: something was written, or may have been, if not all of a
    user's change.
    `cut`: it was ended at once. `untold`: why the account of the run could not be kept to its end.
    """

    plan: Plan
    refused: bool
    outcomes: Sequence[Outcome] | None = None
    aside: frozenset[str] = frozenset()
    remembered: bool = True
    tried: bool = True
    touched: bool = False
    cut: bool = False
    untold: str = ""

    @property
    def ending(self) -> Ending:
        return Ending.of(
            self.outcomes or (),
            touched=self.touched,
            cut=self.cut,
            untold=bool(self.untold),
            stopped=not self.tried,
        )
