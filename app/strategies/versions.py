"""The version of each built-in rule, and the hash of it that sessions store.

Raise the version of a rule whenever it trades or writes something else for the same candles: sessions that were started
with the older version then refuse to continue. Moving, renaming or rewording its source is no change of the rule.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

VERSIONS: Final[dict[str, int]] = {
    "none": 1,
    "manual": 1,
    "buy_and_hold": 1,
    "sma_cross": 1,
    "ema_state": 1,
    "rsi_revert": 1,
    "donchian_breakout": 1,
    "squeeze_breakout": 1,
    "keltner_revert": 1,
    "trend_pullback": 1,
    "ema_revert": 1,
}
_FIRST: Final[dict[str, str]] = {
    "none": "ddc8edbe2157dc859905890cf76929d2b3a5a8f3830f70fc20a1efbe2594bc38",
    "buy_and_hold": "00ad902978ad22a8505776b17f3720e04b46fc3e4bbedaf6c0500a849e1e30a2",
    "sma_cross": "09e77170748ae0fe525417d66340db60fd725757cfb00766ec8fc507362fa426",
    "ema_state": "37853c98c5d750e35912030bf504e226bbbd5fcc9cb668e54bc7aca29f63f471",
    "rsi_revert": "c5313ec5e9fc1a686bb963bbae07e8ed2e3a97a438a425f4956d7c06895b5a8e",
    "donchian_breakout": "a4ec06f72d2b1e9b4366de1e5b6bbca910072be707e40d706d9c407267fcaf4b",
    "squeeze_breakout": "09c98ffb7bebe3d683957bb2b0d2e34862bd72aff9e23541353b25465d1d3f98",
    "keltner_revert": "b4d26ca1cd3c45a5030c52f0cfe99d32c59e3d541664178e66c6523e31d399f7",
    "trend_pullback": "cad63a6e2ff14ba8c4d5e3ce0af990143b2b74ebfe62ba723e63b3c2d3afebc6",
    "ema_revert": "8eeb21bdd3d4d9a013c3a29804cc7cec06712be35a51ea0835910534d992b90d",
}
"""The hashes of version 1 that sessions store: those of the sources from before rules had versions."""


def rule_hash(slug: str) -> str:
    """Return the hex SHA-256 that names a built-in rule at its present version."""
    version = VERSIONS[slug]
    if version == 1 and slug in _FIRST:
        return _FIRST[slug]
    return sha256(f"{slug} version {version}".encode()).hexdigest()
