"""Let a strategies folder have its own package `app`, although this project's package has the same name.

A statement `import app...` in a file of that folder then imports the folder's package, which has another name in
`sys.modules`. All other files still import this project's package.
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
"""Folder with its own package `app` -> the name of that package in `sys.modules`."""


def has_own_app(folder: Path) -> bool:
    """Whether a folder has a package or module `app` that is not this project's."""
    package = folder / "app"
    return (package.is_dir() and package.resolve() != _OURS) or package.with_suffix(".py").is_file()


def is_ours(folder: Path, name: str) -> bool:
    """Whether a dotted name that a file of a folder imports is in this project's package `app`."""
    top, _, rest = name.partition(".")
    return top == "app" and not _is_own(folder, rest) and _OURS is not None and _has_module(_OURS, rest)


def _is_own(folder: Path, rest: str) -> bool:
    """Whether a folder's own `app` has the part of a dotted name after `app.`."""
    return has_own_app(folder) and _has_module(folder / "app", rest)


def _has_module(package: Path, rest: str) -> bool:
    """Whether a package has the first part of a dotted name as a module or package."""
    part = package / rest.partition(".")[0]
    return not rest or part.is_dir() or any(package.glob(f"{part.name}.*"))


def let_import_own_app(folder: Path) -> None:
    """Make the files of a folder import the folder's own `app`, if there is one."""
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
    """Import as Python does, except for a folder's own `app` in a file of that folder."""
    top, _, rest = name.partition(".")
    if level == 0 and top == "app":
        folder = _folder_of(globals or {})
        if folder is not None and _is_own(Path(folder), rest):
            name = _load(folder) + name.removeprefix("app")
    return _import(name, globals, locals, fromlist or (), level)


def _folder_of(importing: Mapping[str, object]) -> str | None:
    """Return the folder of the importing file if that folder has its own `app`."""
    file = str(importing.get("__file__", ""))
    return next((folder for folder in _folders if file.startswith(f"{folder}/")), None)


def _load(folder: str) -> str:
    """Import a folder's own `app` unless it is loaded; return its name in `sys.modules`."""
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
    """Return the spec of a package under another name: with or without `__init__.py`, or a single file."""
    init = package / "__init__.py"
    locations = [str(package)] if package.is_dir() else None
    file = init if locations else package.with_suffix(".py")
    spec = spec_from_file_location(name, file, submodule_search_locations=locations) if file.is_file() else None
    if spec is None:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = locations
    return spec
