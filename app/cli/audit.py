"""`zeon audit`: who did what."""

from __future__ import annotations

import json as json_text
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.options import Json, time_ms
from app.cli.run import Context, run
from app.db import audit as trail
from app.db.audit import AuditEntry

User = Annotated[str | None, typer.Option(metavar="USER", help="Print only what this user did.")]
Action = Annotated[
    str | None, typer.Option(metavar="ACTION", help="Print only this action, such as token.create; token: all of them.")
]
Since = Annotated[
    int | None, typer.Option("--since", parser=time_ms, metavar="TIME", help="Print only entries since this time.")
]
Limit = Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="Number of entries, newest first.")]


def audit(
    user: User = None, action: Action = None, since: Since = None, limit: Limit = 100, json: Json = False
) -> None:
    """Print who did what, newest first: logins, tokens, keys, deletes, exports and imports; orders are in the log."""
    since_time = None if since is None else datetime.fromtimestamp(since / 1000, UTC)

    async def work(context: Context) -> list[AuditEntry]:
        return await context.database.run(trail.page, user_id=user, action=action, since=since_time, limit=limit)

    entries = run(work)
    if json:
        output.as_json([_to_json(entry) for entry in entries])
    else:
        columns = ("time", "user", "action", "what", "from", "request", "details")
        output.table(columns, map(_row, entries), none="There are no entries.")


def _row(entry: AuditEntry) -> tuple[object, ...]:
    details = json_text.dumps(entry.details, ensure_ascii=False) if entry.details else ""
    time = output.utc(int(entry.at.timestamp() * 1000))
    return time, entry.user_id, entry.action, entry.subject, f"{entry.via} {entry.address}", entry.request_id, details


def _to_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at.isoformat(),
        "userId": entry.user_id,
        "action": entry.action,
        "subject": entry.subject,
        "via": entry.via,
        "address": entry.address,
        "requestId": entry.request_id,
        "details": entry.details,
    }
