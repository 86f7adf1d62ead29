"""`zeon sessions compare`: two to twenty sessions side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.options import Json, read_id
from app.cli.report.figures import FIGURES, of_kind
from app.cli.run import Context, run
from app.cli.sessions import event_view
from app.engine.comparison import Comparison, compare_sessions
from app.web.sim.comparison import MAX_COMPARED, CompareAnswer

Compared = Annotated[
    list[str],
    typer.Argument(parser=read_id, metavar="ID ID...", help="The sessions' ids, or their first or last digits."),
]
Points = Annotated[int, typer.Option(metavar="N", min=2, max=2000, help="Points of each curve in the JSON.")]


def compare(session_ids: Compared, points: Points = 300, json: Json = False) -> None:
    """Show sessions side by side: settings that differ, all figures, and where their trades part."""
    if not 2 <= len(session_ids) <= MAX_COMPARED:
        raise typer.BadParameter(f"give 2 to {MAX_COMPARED} sessions")

    async def work(context: Context) -> Comparison:
        ids = [await context.session_id(digits) for digits in session_ids]
        if len(set(ids)) < len(ids):
            raise typer.BadParameter("a session is named twice")
        return await compare_sessions(context.sim, context.user, ids, points if json else 2)

    comparison = run(work)
    if json:
        output.as_json(CompareAnswer.of(comparison).model_dump(mode="json", by_alias=True))
    else:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    answer = CompareAnswer.of(comparison)
    names = [_name(each.session) for each in comparison.sessions]
    rows: list[tuple[str, ...]] = [("status", *(each.session.status for each in comparison.sessions))]
    rows += [(name, *map(output.text, values)) for name, values in answer.settings.items()]
    rows += list(_figures(comparison))
    output.table(("", *names), rows, right=names)
    output.line("")
    output.line(_parting(comparison, names))


def _figures(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield the figures of which not all are missing."""
    for name, (words, kind) in FIGURES.items():
        values = [each.figures[name] for each in comparison.sessions]
        if any(value is not None for value in values):
            yield words, *(of_kind(value, kind) for value in values)


def _parting(comparison: Comparison, names: list[str]) -> str:
    """Return in words where the trades part."""
    if comparison.trade is None:
        return "All closed trades are the same."
    lines = [f"The trades part at trade {comparison.trade:,}:"]
    for name, trade in zip(names, comparison.trades, strict=True):
        text = "no such trade" if trade is None else f"seq {trade.seq:,}: {event_view.trade_words(trade.payload)}"
        lines.append(f"  {name}  {text}")
    return "\n".join(lines)


def _name(session: Any) -> str:
    """Return the name of a session, else the last digits of its id."""
    digits = session.id.hex[-8:]
    return f"{session.spec.name} ({digits})" if session.spec.name else digits
