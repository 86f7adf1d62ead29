"""The direction of imports, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
LEVELS = ("errors", "domain", "strategies", "settings", "db", "candles", "strategy_hosts", "engine", "web", "cli")
"""Each level may import itself and those before it."""
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


def level(module: Path) -> str:
    return module.relative_to(APP).with_suffix("").parts[0]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(APP)))
def test_a_module_imports_only_its_own_level_and_those_below(module):
    if module == APP / "__init__.py":
        assert list(imports(module)) == []
        return
    allowed = LEVELS[: LEVELS.index(level(module)) + 1]
    wrong = [name for name in imports(module) if name.startswith("app.") and name.split(".")[1] not in allowed]
    assert not wrong


def test_only_db_imports_the_database_drivers():
    wrong = {
        (str(module.relative_to(APP)), name)
        for module in MODULES
        for name in imports(module)
        if name.split(".")[0] in DRIVERS and level(module) != "db"
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
