"""The parameters of a call: texts from the query, the form or a WebSocket request, checked one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from app.web.exchange.errors import ExchangeError, illegal, missing

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")
_LIST: Final = re.compile(r'\[("[^"\\]{1,40}"(,"[^"\\]{1,40}")*)?\]')
_MOST: Final = 200
"""Most parameters of a call."""
MAX_TIME_MS: Final = 253_402_300_800_000
"""The year 10000."""


class Params:
    """The parameters of one call by name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def text(self, name: str, *, longest: int = 100) -> str | None:
        """Return a text, null if it is not given or empty."""
        value = self._values.get(name) or None
        if value is not None and (len(value) > longest or not value.isprintable()):
            raise illegal(name)
        return value

    def required(self, name: str) -> str:
        """Return a text that must be given."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def choice(self, name: str, choices: Collection[str], error: ExchangeError, default: str | None = None) -> str:
        """Return one of several words; raises `error` for another one, and if it is missing without a default."""
        value = self.text(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        if value not in choices:
            raise error
        return value

    def integer(self, name: str, low: int = 0, high: int = MAX_TIME_MS) -> int | None:
        """Return a whole number, null if it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise illegal(name)
        if not low <= int(value) <= high:
            raise ExchangeError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """Return `limit`: more than the most counts as the most, as at the exchange."""
        value = self.integer("limit", 1, 10**9)
        return default if value is None else min(value, most)

    def decimal(self, name: str) -> Decimal | None:
        """Return a number above zero, null if it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if not _DECIMAL.fullmatch(value):
            raise illegal(name)
        number = Decimal(value)
        if not number:
            raise ExchangeError(-1013, f"Invalid {name}.")
        return number

    def names(self, name: str) -> list[str] | None:
        """Return a JSON list of texts, null if it is not given."""
        value = self._values.get(name) or None
        if value is None:
            return None
        compact = value.replace(" ", "")
        if len(compact) > 10_000 or not _LIST.fullmatch(compact):
            raise illegal(name)
        return list(json.loads(compact))


def parse_params(*parts: str) -> Params:
    """Read queries and forms of a call together; raises `ExchangeError` for one that is given twice."""
    try:
        pairs = [pair for part in parts for pair in parse_qsl(part, keep_blank_values=True, max_num_fields=_MOST)]
    except ValueError:
        raise ExchangeError(-1101, "Too many parameters sent.") from None
    return Params(_once(pairs))


def params_of(values: Mapping[str, Any]) -> Params:
    """Return the parameters of a WebSocket request: its JSON values as texts."""
    return Params(_once((name, _as_text(value)) for name, value in values.items()))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, separators=(",", ":"))


def _once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise ExchangeError(-1101, "Duplicate values for a parameter detected.")
        values[name] = value
    return values
