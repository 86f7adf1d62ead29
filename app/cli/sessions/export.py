"""`zeon export`: write a session's log to a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer

from app.cli import output
from app.cli.options import SessionId, as_usage, create
from app.cli.run import Context, run
from app.domain.visible import visible
from app.engine.export import encoder
from app.engine.export import export as export_log

What = Annotated[Literal["events", "trades", "equity"], typer.Option(help="What to export.")]
Format = Annotated[
    Literal["ndjson", "csv", "parquet"], typer.Option("--format", help="File format; parquet needs pyarrow.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write; default: stdout.")]


def export(session_id: SessionId, what: What = "events", format_: Format = "ndjson", out: Out = None) -> None:
    """Write a session's events, trades or equity as NDJSON, CSV or Parquet."""
    if format_ == "parquet" and out is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is not for a terminal; name a file with --out")
    with as_usage():
        encode = encoder(what, format_)

    async def work(context: Context) -> int:
        session = await context.sim.get(context.user, await context.session_id(session_id))
        size = 0
        await context.record("session.export", session.id, {"what": what, "format": format_})
        with _open_output(out) as file:
            async for chunk in export_log(context.database, session, what, encode):
                size += file.write(chunk if out or not sys.stdout.isatty() else _shown(chunk))
        return size

    size = run(work)
    if out is not None:
        output.note(f"{size:,} bytes written to {out}.")


def _shown(chunk: bytes) -> bytes:
    """Return a part of a text file as a terminal may show it; chunks end with whole lines."""
    return visible(chunk.decode(), keep_lines=True).encode()


@contextmanager
def _open_output(out: Path | None) -> Iterator[BinaryIO]:
    """Open the output file, or stdout."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    with create(out) as file:
        yield file
