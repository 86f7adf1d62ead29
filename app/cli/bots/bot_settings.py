"""What a bot gets to know of its session: environment variables, and files and addresses for its command."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from app.errors import BadInputError
from app.web.exchange.addresses import PREFIX, addresses

_FILES = {
    "ccxt": "ccxt",
    "freqtrade": "freqtrade",
    "python_binance": "pythonBinance",
    "binance_connector": "binanceConnector",
}
"""Placeholder -> the client whose settings are in the file."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LOCAL = "127.0.0.1,localhost"


class BotSettings(NamedTuple):
    """The values of the placeholders of a command; as environment variables they are `ZEON_BOT_…` in capitals."""

    values: Mapping[str, str]

    @classmethod
    def write(cls, folder: Path, server: str, session_id: UUID, key: str) -> BotSettings:
        """Write the settings of each client into a folder, as JSON files."""
        known = addresses(server, key)
        base = f"{server}{PREFIX}/{key}"
        values = {
            "server": server,
            "session": str(session_id),
            "url": base,
            "ws": f"ws{base.removeprefix('http')}",
            "key": key,
        }
        for name, client in _FILES.items():
            path = folder / f"{name}.json"
            section = {"exchange": known[client]} if client == "freqtrade" else known[client]
            path.write_text(json.dumps(section, indent=2))
            values[name] = str(path)
        return cls(values)

    def environment(self) -> dict[str, str]:
        """Return the variables; programs reach the addresses without a proxy."""
        variables = {f"ZEON_BOT_{name.upper()}": value for name, value in self.values.items()}
        for name in ("NO_PROXY", "no_proxy"):
            variables[name] = ",".join(filter(None, (os.environ.get(name), _LOCAL)))
        return variables

    def fill_in(self, command: Sequence[str]) -> list[str]:
        """Return a command with its placeholders filled in.

        Raises `BadInputError` for an argument that is an unknown one; within text other braces stay as they are.
        """
        for part in command:
            if (match := _PLACEHOLDER.fullmatch(part)) and match[1] not in self.values:
                raise BadInputError(f"command: {part} is not one of {', '.join(f'{{{one}}}' for one in self.values)}")
        return [_PLACEHOLDER.sub(lambda match: self.values.get(match[1], match[0]), part) for part in command]
