"""`zeon sessions fork` and `zeon diff`: continue another session's log, and compare two sessions."""

from __future__ import annotations

import json as json_text
from decimal import Decimal
from typing import Annotated

import typer

from app.cli import output
from app.cli.options import Json, SessionId, as_usage, read_id
from app.cli.run import Context, run
from app.cli.sessions import session_view
from app.cli.sessions.setting_options import FORK, Given, takes_settings
from app.domain.session import Session
from app.web.http.parsing import parse
from app.web.sim.diff import DiffAnswer, DiffSide, SettingDiff
from app.web.sim.requests import ForkRequest

AtSeq = Annotated[
    int, typer.Option("--at-seq", metavar="SEQ", help="Last event to share, rounded up to the end of its tick.")
]
Other = Annotated[
    str, typer.Argument(parser=read_id, metavar="OTHER", help="The other session's id, or its first or last digits.")
]


@takes_settings(FORK)
def fork(settings: Given, session_id: SessionId, at_seq: AtSeq, json: Json = False) -> None:
    """Create a session that shares another one's log up to a seq; settings that are not given are copied.

    With another profile the parameters are not copied.
    """
    with as_usage():
        request = parse(ForkRequest, settings | {"atSeq": at_seq})

    async def work(context: Context) -> Session:
        return await context.sim.fork(
            context.user, await context.session_id(session_id), request.at_seq, request.change
        )

    with as_usage():
        session = run(work)
    session_view.print_session(session, json)


def diff(session_id: SessionId, other: Other, json: Json = False) -> None:
    """Compare two sessions: the first difference of their logs, their settings and their results."""

    async def work(context: Context) -> DiffAnswer:
        a, b = await context.session_id(session_id), await context.session_id(other)
        return DiffAnswer.of(await context.sim.diff(context.user, a, b))

    answer = run(work)
    if json:
        output.as_json(answer.model_dump(mode="json", by_alias=True))
        return
    where = "nowhere" if answer.place is None else f"at simulated event {answer.place:,}"
    output.line(f"The logs differ {where}.")
    if answer.command is not None:
        output.line(f"Command {answer.command.command} made them part.")
    output.table(("", "a", "b"), [*_facts(answer.a, answer.b), *_setting_rows(answer.settings)])
    results = [
        (name, *map(_number, (result.a, result.b, result.difference))) for name, result in answer.results.items()
    ]
    output.line("")
    output.table(
        ("result", "a", "b", "difference"), [row for row in results if any(row[1:])], right=("a", "b", "difference")
    )


def _facts(a: DiffSide, b: DiffSide) -> list[tuple[str, object, object]]:
    """Return the facts of both sessions, and their events at the first difference."""
    facts: list[tuple[str, object, object]] = [
        ("id", a.session_id, b.session_id),
        ("status", a.status, b.status),
        ("last seq", a.last_seq, b.last_seq),
        ("seq there", a.seq, b.seq),
        ("event there", _json(a.event), _json(b.event)),
    ]
    return [fact for fact in facts if any(value not in (None, "") for value in fact[1:])]


def _setting_rows(settings: dict[str, SettingDiff]) -> list[tuple[str, object, object]]:
    return [(name, _json(setting.a), _json(setting.b)) for name, setting in settings.items()]


def _number(value: Decimal | None) -> str:
    return "" if value is None else output.number(value)


def _json(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json_text.dumps(value, ensure_ascii=False)
