"""The structure of the code, read from the source: the direction of imports, the size of folders and classes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
LEVELS = (
    "errors",
    "clock",
    "healthcheck",
    "tasks",
    "domain",
    "strategies",
    "settings",
    "metrics",
    "logs",
    "db.setup",
    "db",
    "db.log",
    "candles.cache",
    "candles.rows",
    "candles.formats",
    "candles.sources",
    "candles.exports",
    "candles.imports",
    "candles",
    "strategy_hosts",
    "engine.replay",
    "engine.streaming",
    "engine",
    "web.identity",
    "web.http",
    "web.openapi",
    "web.sim",
    "web.market",
    "web.exchange",
    "web",
    "cli",
)
"""Each level may import itself and those before it. A folder before its parent stands below the modules beside it."""
DRIVERS = {"psycopg", "psycopg_pool", "sqlalchemy", "yoyo"}
IMPURE = {"asyncio", "http", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time"}
SEEDED = "random.Random"
"""A generator of its own seed is as pure as its seed; the module's functions are not."""
MODULES = sorted(APP.rglob("*.py"))


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def level(name: str) -> str:
    """Return the level of a dotted name below `app`: the longest one it begins with."""
    return max((level for level in LEVELS if f"{name}.".startswith(f"{level}.")), key=len)


def level_of(module: Path) -> str:
    return level(".".join(module.relative_to(APP).with_suffix("").parts))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(APP)))
def test_a_module_imports_only_its_own_level_and_those_below(module):
    if module == APP / "__init__.py":
        assert list(imports(module)) == []
        return
    allowed = LEVELS[: LEVELS.index(level_of(module)) + 1]
    below = [name.removeprefix("app.") for name in imports(module) if name.startswith("app.")]
    assert not [name for name in below if level(name) not in allowed]


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("domain/tick.py", "db.pool"),
        ("db/setup/embedded.py", "db.pool"),
        ("db/pool.py", "db.log.events"),
        ("db/log/events.py", "candles.rows.row"),
        ("candles/rows/times.py", "candles.formats.files"),
        ("candles/formats/files.py", "candles.sources.source"),
        ("candles/sources/folder.py", "candles.imports.importer"),
        ("strategy_hosts/discovery.py", "engine.supervisor"),
        ("engine/replay/runner.py", "engine.supervisor"),
        ("engine/replay/runner.py", "engine.streaming.hub"),
        ("engine/streaming/hub.py", "engine.session_service"),
        ("web/http/login.py", "web.sim.answers"),
        ("web/sim/log.py", "web.market.session_schemas"),
    ],
)
def test_an_import_upward_is_noticed(module, imported):
    assert LEVELS.index(level(imported)) > LEVELS.index(level_of(APP / module))


def test_only_db_imports_the_database_drivers():
    wrong = {
        (str(module.relative_to(APP)), name)
        for module in MODULES
        for name in imports(module)
        if name.split(".")[0] in DRIVERS and not level_of(module).startswith("db")
    }
    assert not wrong


def test_the_domain_is_pure():
    wrong = {
        (str(module.relative_to(APP)), name)
        for module in (APP / "domain").rglob("*.py")
        for name in imports(module)
        if name.split(".")[0] in IMPURE and name != SEEDED
    }
    assert not wrong


def test_folders_are_at_most_two_levels_deep():
    assert all(len(module.relative_to(APP).parts) <= 3 for module in MODULES)


def foreign(folder: Path) -> bool:
    """Whether a folder is not ours: caches, and packages that tests install."""
    return any(part[0] in "._" or part == "node_modules" for part in folder.relative_to(APP.parent).parts)


@pytest.mark.parametrize("top", ["app", "benchmarks", "docs", "sql", "tests", "zeon"])
def test_a_folder_has_at_most_twenty_entries(top):
    folders = [folder for folder in (APP.parent / top).rglob("*") if folder.is_dir() and not foreign(folder)]
    too_full = {
        str(folder.relative_to(APP.parent)): count
        for folder in [APP.parent / top, *folders]
        if (count := sum(not foreign(entry) for entry in folder.iterdir())) > 20
    }
    assert not too_full


LONG_CLASSES = {"Broker", "Protocol", "SessionRunner", "SessionService", "Settings", "StrategyRunner", "Supervisor"}
"""Those over 250 lines; the reasons are in docs/inside/decisions.md."""


def test_no_other_class_has_more_than_250_lines():
    long = {
        node.name
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno >= 250
    }
    assert long <= LONG_CLASSES
