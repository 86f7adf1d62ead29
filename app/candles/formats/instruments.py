"""Files that hold several instruments: one is chosen by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.candles.rows.request import ReadRequest
from app.errors import BadInputError


def choose_instrument(names: Sequence[str], request: ReadRequest) -> str:
    """Return which of several instruments the user asked for; raises `BadInputError` naming them and the option."""
    only = request.options.only
    if only is not None:
        for name in names:
            if same_instrument(name, only):
                return name
        raise BadInputError(f"only: {only[:40]!r} is not in the file; it holds {_join_names(names)}")
    raise BadInputError(f"file: it holds {_join_names(names)}; choose one with --only, as in --only {names[0][:40]}")


def same_instrument(one: str, other: str) -> bool:
    """Whether two spellings, such as BTC/USDT and btcusdt, name the same instrument."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _join_names(names: Sequence[str]) -> str:
    shown = [name[:40] for name in names[:10]]
    if len(names) > 10:
        return f"{len(names)} instruments: {', '.join(shown)} …"
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]
