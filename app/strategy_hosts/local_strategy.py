"""A strategy that runs in the process of a command or a script, because its user has written both.

Servers never do this. Here an endless loop ends with Ctrl-C, `print` prints, and a debugger can stop in `on_candle`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from app.domain.trading.slug import slug_of
from app.domain.trading.strategy import Strategy
from app.errors import BadInputError, StrategyFailedError
from app.strategies.registry import BUILT_IN
from app.strategy_hosts.own_app import let_import_own_app
from app.strategy_hosts.strategy_error import details, last_line
from app.strategy_hosts.strategy_files import StrategyRef, strategy_files


class LocalStrategy(NamedTuple):
    """A strategy's slug, its class, and the hash of its code that a session stores."""

    slug: str
    strategy: type[Strategy]
    code_hash: str

    @property
    def file(self) -> str:
        """The file of the class."""
        return str(sys.modules[self.strategy.__module__].__file__)


def find_local(named: str) -> LocalStrategy | None:
    """Return the strategy of FILE.py, FILE.py:Class, FOLDER, FOLDER:Class or module:Class; null for a plain slug.

    Raises `BadInputError` if there is none or more than one, `StrategyFailedError` if its file cannot be imported.
    """
    place, _, attribute = named.partition(":")
    path = Path(place).expanduser()
    if path.is_dir() and (attribute or "/" in place or place in (".", "..")):
        files = [file for file in sorted(path.glob("*.py")) if file.name[0] != "_"]
        return _choose(named, [found for file in files for found in _in_file(file)], attribute)
    if path.suffix == ".py":
        if not path.is_file():
            raise BadInputError(f"PROFILE: there is no file {place}")
        return _choose(named, list(_in_file(path)), attribute)
    if not attribute:
        return None
    beside = Path(*place.split(".")).with_suffix(".py")
    if beside.is_file() and "." not in place:
        return _choose(named, list(_in_file(beside)), attribute)
    return _in_module(named, place, attribute)


def local_strategy(strategy: type[Strategy]) -> LocalStrategy:
    """Return a class of this program, also of a notebook, as a local strategy; raises `BadInputError`."""
    if not (inspect.isclass(strategy) and issubclass(strategy, Strategy) and strategy is not Strategy):
        raise BadInputError(f"{strategy!r} is not a subclass of zeon.Strategy")
    return _local(strategy, _class_hash(strategy))


def _choose(named: str, found: list[LocalStrategy], attribute: str) -> LocalStrategy:
    """Return the one strategy that is meant; raises `BadInputError`."""
    names = ", ".join(local.strategy.__name__ for local in found)
    chosen = [local for local in found if attribute in ("", local.strategy.__name__, local.slug)]
    if not found:
        raise BadInputError(f"PROFILE: {named} has no public subclass of zeon.Strategy")
    if not chosen:
        raise BadInputError(f"PROFILE: there is no strategy {attribute} in {named.partition(':')[0]}, only {names}")
    if len(chosen) > 1:
        raise BadInputError(f"PROFILE: {named} has several strategies; add one of them as in {named}:{names}")
    return chosen[0]


def _in_file(path: Path) -> Iterator[LocalStrategy]:
    """Import a file again, with what it imports from its folder, and yield its strategies."""
    path = path.resolve()
    files = strategy_files(StrategyRef("file", str(path), path.stem, None, str(path)))
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in files.digests:
            del sys.modules[name]
    let_import_own_app(path.parent)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    for strategy in _strategies(_execute(path)):
        yield _local(strategy, files.hash)


def _execute(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        raise StrategyFailedError(
            f"{path.name} cannot be imported: {last_line(error)}", details=details(error)
        ) from error
    return module


def _in_module(named: str, module_name: str, attribute: str) -> LocalStrategy:
    """Import a module by its name, from the present folder too."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        strategy = getattr(importlib.import_module(module_name), attribute, None)
    except ModuleNotFoundError as error:
        raise BadInputError(f"PROFILE: {named}: {error}") from error
    except Exception as error:
        raise StrategyFailedError(f"{named} cannot be imported: {last_line(error)}", details=details(error)) from error
    if strategy is None:
        raise BadInputError(f"PROFILE: {module_name} has no {attribute}")
    return local_strategy(strategy)


def _strategies(module: ModuleType) -> Iterator[type[Strategy]]:
    for name, value in vars(module).items():
        is_own = inspect.isclass(value) and issubclass(value, Strategy) and value.__module__ == module.__name__
        if is_own and name[0] != "_":
            yield value


def _local(strategy: type[Strategy], code_hash: str) -> LocalStrategy:
    slug = slug_of(strategy.__name__)
    if slug in BUILT_IN:
        raise BadInputError(f"PROFILE: {slug} is the name of a built-in strategy; rename yours.")
    return LocalStrategy(slug, strategy, code_hash)


def _class_hash(strategy: type[Strategy]) -> str:
    """Return the hash of the file of a class and what it imports, or of its source where it has no file."""
    file = inspect.getsourcefile(strategy) if strategy.__module__ != "__main__" else None
    if file is not None and Path(file).is_file():
        return strategy_files(StrategyRef("file", file, Path(file).stem, None, file)).hash
    try:
        text = inspect.getsource(strategy)
    except (OSError, TypeError):
        text = strategy.__qualname__
    return sha256(text.encode()).hexdigest()
