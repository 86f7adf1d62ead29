"""One page of HTML that works without a network: its head, tables, and scripts that its own policy names by hash."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any


def page(title: str, body: str, *, scripts: Sequence[str] = ()) -> str:
    """Return a page that loads nothing and sends nothing: its policy allows only these scripts. `body` is HTML."""
    sources = " ".join(f"'sha256-{_hash(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {sources}; img-src data:;"
        " form-action 'none'; base-uri 'none'"
    )
    tags = "".join(f"<script>{script}</script>" for script in scripts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_style()}</style></head><body>{body}{tags}</body></html>\n"
    )


def table(
    columns: Sequence[str], rows: Iterable[Iterable[str]], *, right: Collection[str] = (), one_line: bool = False
) -> str:
    """Return a table; columns in `right` hold numbers. Rows of `one_line` do not wrap: it scrolls sideways."""
    classes = [' class="number"' if column in right else "" for column in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(column)}</th>' for column, kind in zip(columns, classes, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    kind = ' class="one-line"' if one_line else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a few names and values, each in a box."""
    boxes = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f"<dl>{''.join(boxes)}</dl>"


def data(name: str, value: Any) -> str:
    """Return a JSON value as an element that scripts read by its id."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


@cache
def _style() -> str:
    return Path(__file__).with_name("page.css").read_text("utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(sha256(script.encode()).digest()).decode()
