"""The settings of every connection, whatever the role, the database or a pooler has set."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

LIMITS = {"lock_timeout": "5s", "statement_timeout": "1min", "idle_in_transaction_session_timeout": "1min"}
"""Time limits; options in the address take precedence."""

FIXED = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "exit_on_error": "off",
    "row_security": "on",
    "idle_session_timeout": "0",
}
"""Settings without which reading, writing or waiting for notifications goes wrong. They override the address."""

_UNLIMITED = {"transaction_timeout": "0"}
"""Settings that only newer versions of Postgres have: they are set behind the start of a connection."""

READ: LiteralString = "SELECT name, current_setting(name, true) FROM unnest(%s::text[]) AS name"
REPAIR: LiteralString = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)"
NAMES = [*LIMITS, *FIXED, *_UNLIMITED, "search_path"]

_log = logging.getLogger(__name__)
_warned: set[frozenset[str]] = set()


MARK = "zeon.settings"
"""A setting that only tells whether `options` reach Postgres."""
REFUSED = (
    "The pooler refuses the settings of this server's connections; set ignore_startup_parameters = options in"
    " pgbouncer.ini, see docs/operating/operations.md."
)


def is_refusal(error: BaseException | None) -> bool:
    """Whether a pooler did not connect because of the settings that were sent."""
    return "startup parameter" in str(error)


def startup_options(url: str, limits: Mapping[str, str] = LIMITS) -> str:
    """Return libpq's `options` for an address: its own ones between the time limits and the fixed settings."""
    own = conninfo_to_dict(url).get("options") or ""
    return " ".join(filter(None, (_as_options(limits), str(own), _as_options(FIXED))))


def install_conninfo(url: str) -> str:
    """Return an address with the settings of an installation, which may wait and work for as long as it takes."""
    limits = dict.fromkeys(LIMITS, "0")
    return make_conninfo(url, options=startup_options(url, limits), client_encoding="UTF8")


def wanted_search_path(url: str) -> str | None:
    """Return the search_path that the options of an address name."""
    return _given(url).get("search_path")


def differences(url: str, present: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """Return the settings that a connection lacks, with the values they should have; `present` has all `NAMES`.

    A time limit that is not ours, but is one, stays: behind a pooler the role may have its own.
    """
    given, found = _given(url), dict(present)
    wanted = {**FIXED, **_UNLIMITED}
    wanted |= {name: value for name, value in LIMITS.items() if name not in given and found[name] == "0"}
    if "search_path" in given:
        wanted["search_path"] = given["search_path"]
    return {name: value for name, value in wanted.items() if found[name] not in (None, value)}


async def repair(url: str, connection: psycopg.AsyncConnection[Any]) -> None:
    """Set what the start of a connection did not set; log once which settings a pooler has left out."""
    rows = await (await connection.execute(READ, [NAMES], prepare=False)).fetchall()
    missing = differences(url, [tuple(row.values()) if isinstance(row, dict) else row for row in rows])
    if missing:
        await connection.execute(REPAIR, [list(missing), list(missing.values())], prepare=False)
        tell_lost(missing.keys() - _UNLIMITED.keys())


def tell_lost(names: Iterable[str]) -> None:
    """Log that settings did not arrive, once for each set of them."""
    lost = frozenset(names)
    if lost and lost not in _warned:
        _warned.add(lost)
        _log.warning("%s", lost_sentence(lost))


def lost_sentence(names: Iterable[str]) -> str:
    """Return the sentence about settings that did not arrive."""
    return (
        f"A pooler between this server and Postgres drops settings of its connections ({', '.join(sorted(names))});"
        " give them to the role: ALTER ROLE … SET …, see docs/operating/operations.md."
    )


def _as_options(settings: Mapping[str, str]) -> str:
    return " ".join(f"-c {name}={_escape(value)}" for name, value in settings.items() if name != "client_encoding")


def _escape(value: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", value)


def _given(url: str) -> dict[str, str]:
    """Return the settings in the options of an address."""
    options = str(conninfo_to_dict(url).get("options") or "")
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|\S)+", options)]
    text = [word.removeprefix("-c").removeprefix("--") for word in words]
    pairs = (word.partition("=") for word in text)
    return {name.replace("-", "_"): value for name, equals, value in pairs if equals}
