"""`zeon verify`: recompute a session and compare the result with its log."""

from __future__ import annotations

import json as json_text
from typing import Any

import typer

from app.cli import output
from app.cli.options import Json, SessionId
from app.cli.run import Context, run
from app.clock import Clock
from app.engine.replay import verify as engine
from app.engine.replay.verify import VerifyResult


def verify(session_id: SessionId, json: Json = False) -> None:
    """Recompute a session up to its cursor and compare it with its log; exit with 1 if an event differs."""

    async def work(context: Context) -> VerifyResult:
        sim, uuid = context.sim, await context.session_id(session_id)
        return await engine.verify(context.database, Clock(), sim.strategies, context.user, uuid, sim.calendars)

    result = run(work)
    if json:
        output.as_json(_verdict_to_json(result))
    else:
        _print_verdict(result)
    if result.difference is not None:
        raise typer.Exit(1)


def _verdict_to_json(result: VerifyResult) -> dict[str, Any]:
    return {
        "sessionId": str(result.session.id),
        "status": result.session.status,
        "cursorMs": result.session.cursor_ms,
        "lastSeq": result.session.last_seq,
        "same": result.difference is None,
        "difference": result.difference,
        "warnings": result.warnings,
        "digest": result.digest,
    }


def _print_verdict(result: VerifyResult) -> None:
    for warning in result.warnings:
        output.note(f"warning: {warning}")
    reached = (
        f"seq {result.session.last_seq:,}, cursor {output.utc(result.session.cursor_ms) or 'before the first candle'}"
    )
    if result.difference is None:
        output.line(f"Recomputing the session gives the same log, up to {reached}.")
    else:
        seq = result.difference["seq"]
        output.line("The log ends too early." if seq is None else f"The log differs first at seq {seq}.")
        for side in ("logged", "computed"):
            output.line(f"{side:<8}  {json_text.dumps(result.difference[side], ensure_ascii=False)}")
    if result.digest is not None:
        output.line(f"digest    {result.digest}")
