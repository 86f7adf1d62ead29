"""A line of the table: what was measured, against what, and whether it meets its goal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Goal(NamedTuple):
    """A bound for the ratio where there is a reference, else for the figure."""

    bound: float
    at_most: bool = False

    def met_by(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def text(self, unit: str) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}{unit}"


@dataclass(frozen=True)
class Row:
    """One measurement; without a goal it is for information."""

    what: str
    figure: float
    unit: str
    reference: float | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.reference is None else self.figure / self.reference

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.goal.met_by(self.figure if self.ratio is None else self.ratio)

    def as_json(self) -> dict[str, Any]:
        goal = None if self.goal is None else self.goal._asdict()
        return asdict(self) | {"goal": goal, "ratio": self.ratio, "met": self.met}

    def cells(self) -> list[str]:
        """Return the row as the table prints it."""
        unit = f" {self.unit}"
        return [
            self.what,
            _number(self.figure) + unit,
            "" if self.reference is None else _number(self.reference) + unit,
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.goal is None else self.goal.text(unit if self.ratio is None else ""),
            {None: "", True: "yes", False: "NO"}[self.met],
            self.note,
        ]


async def alternate(
    ours: Callable[[], Awaitable[float]], reference: Callable[[], Awaitable[float]], rounds: int
) -> tuple[float, float]:
    """Take both measurements by turns and return the `middle` of them, so that a noisy minute hits both alike."""
    return middle([(await ours(), await reference()) for _ in range(rounds)])


def middle(turns: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the turn whose ratio is the median one.

    A shared machine's speed may double from one turn to the next, and hits both measurements of a turn alike.
    """
    return sorted(turns, key=lambda turn: turn[0] / turn[1])[len(turns) // 2]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
