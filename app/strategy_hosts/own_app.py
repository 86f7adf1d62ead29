"""A strategies folder may have a package `app` of its own, though this project's package has the same name.

A statement `import app...` in a file of that folder then means the folder's package, which is kept under another name
in `sys.modules`. Every other file goes on importing this project's.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import app

_OURS = Path(app.__file__).parent if app.__file__ else None
_import = builtins.__import__
_folders: dict[str, str] = {}
"""The folders with a package `app` of their own, and what that is called in `sys.modules`."""


def has_own_app(folder: Path) -> bool:
    """Say whether a folder has a package or module `app` that is not this project's."""
    package = folder / "app"
    return (package.is_dir() and package.resolve() != _OURS) or package.with_suffix(".py").is_file()


def is_ours(folder: Path, name: str) -> bool:
    """Say whether a dotted name that a file of a folder imports is in this project's package `app`."""
    top, _, rest = name.partition(".")
    return top == "app" and not _is_own(folder, rest) and _OURS is not None and _holds(_OURS, rest)


def _is_own(folder: Path, rest: str) -> bool:
    """Say whether a folder's own `app` has what follows `app.` in a dotted name."""
    return has_own_app(folder) and _holds(folder / "app", rest)


def _holds(package: Path, rest: str) -> bool:
    """Say whether a package has the first part of a dotted name as a module or package."""
    part = package / rest.partition(".")[0]
    return not rest or part.is_dir() or any(package.glob(f"{part.name}.*"))


def let_import_own_app(folder: Path) -> None:
    """Let the files of a folder import the folder's own `app`, if there is one."""
    if str(folder) not in _folders and has_own_app(folder):
        _folders[str(folder)] = f"zeon_own_app_{len(_folders) + 1}"
        builtins.__import__ = _import_own


def _import_own(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - the names Python gives them
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import as Python does, but for a folder's own `app` in a file of that folder."""
    top, _, rest = name.partition(".")
    if level == 0 and top == "app":
        folder = _folder_of(globals or {})
        if folder is not None and _is_own(Path(folder), rest):
            name = _loaded(folder) + name.removeprefix("app")
    return _import(name, globals, locals, fromlist or (), level)


def _folder_of(importing: Mapping[str, object]) -> str | None:
    """Return the folder in which the importing file lies, if that has an `app` of its own."""
    file = str(importing.get("__file__", ""))
    return next((folder for folder in _folders if file.startswith(f"{folder}/")), None)


def _loaded(folder: str) -> str:
    """Import a folder's own `app`, unless that was done before, and return what it is called."""
    name = _folders[folder]
    if name not in sys.modules:
        spec = _spec(name, Path(folder, "app"))
        sys.modules[name] = module = module_from_spec(spec)
        try:
            if spec.loader is not None:
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return name


def _spec(name: str, package: Path) -> ModuleSpec:
    """Say how a package is imported under another name: one with or without `__init__.py`, or a single file."""
    init = package / "__init__.py"
    places = [str(package)] if package.is_dir() else None
    file = init if places else package.with_suffix(".py")
    spec = spec_from_file_location(name, file, submodule_search_locations=places) if file.is_file() else None
    if spec is None:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = places
    return spec
