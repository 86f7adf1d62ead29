"""A strategies folder with a package `app` of its own: its files see that one, and import ours from `zeon`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.running_engine import running_engine, store
from tests.support.strategies import ONE_CHILD

OWN = {
    "app/__init__.py": "NAME = 'own'\n",
    "app/sizes.py": """
from __future__ import annotations

from decimal import Decimal

import zeon

from . import NAME


class Sized(zeon.Strategy):
    part: Decimal = Decimal("0.5")

    def size(self):
        from app.settings import STEP

        return self.part * STEP
""",
    "app/settings.py": "STEP = 4\n",
    "mine.py": """
import app
import app.settings as own_settings
from app.sizes import NAME, Sized
from zeon import Candle


class Mine(Sized):
    def on_candle(self, candle: Candle) -> None:
        from app import sizes

        assert sizes.NAME == app.NAME == app.sizes.NAME == NAME
        self.plot(NAME, self.size() + own_settings.STEP)
""",
    "old.py": """
from app.domain.strategy import Strategy
from app.sizes import NAME


class Old(Strategy):
    def on_candle(self, candle):
        self.plot(NAME, 1)
""",
}
SINGLE_FILE = {
    "app.py": "NAME = 'single file'\n",
    "single.py": """
from app import NAME
from zeon import Strategy


class Single(Strategy):
    def on_candle(self, candle):
        self.plot(NAME, 2)
""",
}
WITHOUT_INIT = {
    "app/deep/names.py": "NAME = 'without init'\n",
    "bare.py": """
import app.deep.names
from zeon import Strategy


class Bare(Strategy):
    def on_candle(self, candle):
        self.plot(app.deep.names.NAME, 3)
""",
}
NONE = {
    "plain.py": """
from app.domain.candle import Candle
from app.domain.strategy import Strategy


class Plain(Strategy):
    def on_candle(self, candle):
        assert isinstance(candle, Candle)
        from app.domain.number import format_decimal

        self.plot("none", format_decimal(candle.close) and 4)
""",
}


def folder(path: Path, files: Mapping[str, str]) -> str:
    for name, text in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, ...]:
    folders = {"own": OWN, "single": SINGLE_FILE, "bare": WITHOUT_INIT, "none": NONE}
    return tuple(folder(tmp_path / name, files) for name, files in folders.items())


async def test_each_folder_sees_its_own_app_in_one_process(database: Database, folders: tuple[str, ...]) -> None:
    plots = {"mine": ("own", 6), "old": ("own", 1), "single": ("single file", 2), "bare": ("without init", 3)}
    async with running_engine(database, strategies=folders, **ONE_CHILD) as engine:
        await store(engine.pool)
        started = {slug: await engine.start(profile_slug=slug) for slug in (*plots, "plain")}
        for slug, (name, value) in {**plots, "plain": ("none", 4)}.items():
            session = await engine.finished(started[slug].id)
            assert session.status == "finished", session.error
            drawn = [event["payload"] for event in await engine.log(session.id) if event["type"] == "plot"]
            assert drawn == [{"name": name, "value": value}] * 100
        assert engine.supervisor.strategies.problems == []


async def test_a_changed_file_of_a_folders_own_app_is_changed_code(
    database: Database, folders: tuple[str, ...]
) -> None:
    async with running_engine(database, strategies=folders, **ONE_CHILD) as engine:
        await store(engine.pool)
        before = await engine.finished((await engine.start(profile_slug="mine")).id)
        folder(Path(folders[0]), {"app/settings.py": "STEP = 6\n"})
        after = await engine.finished((await engine.start(profile_slug="mine")).id)
        assert after.strategy_hash != before.strategy_hash
        assert [event["payload"]["value"] for event in await engine.log(after.id) if event["type"] == "plot"] == [
            9
        ] * 100


def test_an_error_in_a_folders_own_app_is_reported_with_its_position(database: Database, tmp_path: Path) -> None:
    files = {**OWN, "app/settings.py": "STEP = 1 / 0\n"}
    done = Cli(database, ZEON_STRATEGIES=folder(tmp_path / "own", files)).run("profiles")
    assert "ZeroDivisionError: division by zero (settings.py:1" in done.stderr
    assert "old" in done.stdout


def test_profiles_say_once_that_zeon_is_the_import_name(database: Database, folders: tuple[str, ...]) -> None:
    done = Cli(database, ZEON_STRATEGIES=",".join(folders)).run("profiles")
    warnings = [line for line in done.stderr.splitlines() if "zeon" in line]
    assert warnings == [
        "old, plain: import from `zeon` instead of `app`, as in `from zeon import Candle, Strategy`; both work."
    ]
