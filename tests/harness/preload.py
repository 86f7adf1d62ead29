"""Imported by the process that commands under test are forked from: all of them, and with them all of the app."""

from __future__ import annotations

import gc
from importlib import import_module

from app.cli.subcommands import SUBCOMMANDS

for name in ("main", *(command.partition(":")[0] for command in SUBCOMMANDS.values())):
    import_module(f"app.cli.{name}")
gc.freeze()
