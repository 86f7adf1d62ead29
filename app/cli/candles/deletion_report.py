"""What `zeon candles delete` says: what it would delete, and what it deleted."""

from __future__ import annotations

import sys
from typing import Any

import typer

from app.candles.cache.deletion import Deletion
from app.cli import output


def confirm(plan: Deletion) -> None:
    """Show what would be deleted and ask; raises `typer.Exit` unless the answer is yes."""
    output.note(f"This deletes {_series(plan)}: {_candles(plan.rows)}.")
    if plan.built:
        output.note(f"Built from it, and deleted too: {_built(plan)}.")
    if plan.waiting:
        output.note(_waiting(len(plan.waiting)))
    typer.echo("Delete? [y/N] ", err=True, nl=False)
    answer = sys.stdin.readline()
    if not answer:  # The input ended without an answer.
        output.note("")
    if answer.strip().lower() not in ("y", "yes"):
        output.note("Nothing was deleted. To delete without being asked, add --yes.")
        raise typer.Exit(1)


def print_deleted(deleted: Deletion) -> None:
    """Print for people what was deleted."""
    built = f", and what was built from it: {_built(deleted)}" if deleted.built else ""
    output.line(f"Deleted {_candles(deleted.rows)} of {_series(deleted)}{built}.")
    if deleted.waiting:
        output.note(_waiting(len(deleted.waiting)))


def as_json(deleted: Deletion) -> dict[str, Any]:
    """Return what was deleted, for scripts."""
    key = {"venue": deleted.venue, "symbol": deleted.symbol, "timeframe": deleted.timeframe}
    return {
        **key,
        "rows": deleted.rows,
        "built": deleted.built,
        "waiting": [str(session_id) for session_id in deleted.waiting],
    }


def _series(plan: Deletion) -> str:
    return f"{plan.symbol} {plan.timeframe} at venue {plan.venue}"


def _candles(count: int) -> str:
    return f"{count:,} candle{'' if count == 1 else 's'}"


def _built(plan: Deletion) -> str:
    return ", ".join(f"{_candles(count)} of {name}" for name, count in plan.built.items())


def _waiting(count: int) -> str:
    noun = "1 created or paused session needs" if count == 1 else f"{count} created or paused sessions need"
    return f"{noun} these candles to go on: import or fetch them again before. Logs are kept."
