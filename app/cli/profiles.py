"""`zeon profiles`: what a session can name as its profile."""

from __future__ import annotations

from app.cli import show
from app.cli.options import Json
from app.web.profiles import profiles as every


def profiles(json: Json = False) -> None:
    """List the strategies a session can name; `none` emits candles only."""
    found = every()
    if json:
        show.as_json([each._asdict() for each in found])
        return
    rows = ((each.slug, ", ".join(each.parameters.get("properties", {})), each.source) for each in found)
    show.table(("profile", "parameters", "source"), rows)
