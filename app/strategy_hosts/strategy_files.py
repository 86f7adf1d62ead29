"""The files of user strategies: where they are and which files they import; none of their code is run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from app.strategy_hosts.own_app import is_ours

GROUP = "zeon.strategies"


class StrategyRef(NamedTuple):
    """A module that may define strategies.

    `origin` says how it was configured: folder, setting or entry point; `label` is its name in messages. A file of a
    folder has a `path`; any other module is imported by its name. `attribute` is the one class to use, null for all
    strategies of the module; `slug` is set by an entry point.
    """

    origin: str
    label: str
    module: str
    attribute: str | None = None
    path: str | None = None
    slug: str | None = None


class LoadProblem(NamedTuple):
    """A configured module or folder that cannot be used, and the reason."""

    label: str
    sentence: str


class StrategyFiles(NamedTuple):
    """A module's file and the files it imports from its folder or package: SHA-256 by path, and one hash of all.

    `imports_app` says whether one of them imports from this project's package `app` instead of `zeon`.
    """

    digests: dict[str, str]
    hash: str
    imports_app: bool = False


def find_strategies(locations: tuple[str, ...]) -> tuple[list[StrategyRef], list[LoadProblem]]:
    """Return the modules that settings and installed packages name, and the settings that name no module."""
    refs, problems = installed_strategies(), []
    for location in locations:
        folder = Path(location).expanduser()
        module, _, attribute = location.partition(":")
        file = Path(module).expanduser()
        if file.suffix == ".py" and file.is_file():
            refs.append(_in_folder(file.resolve())._replace(origin="file", attribute=attribute or None))
        elif folder.is_dir():
            refs += [_in_folder(path) for path in sorted(folder.resolve().glob("*.py")) if path.name[0] != "_"]
        elif attribute and all(part.isidentifier() for part in (*module.split("."), attribute)):
            refs.append(StrategyRef("setting", location, module, attribute))
        else:
            problems.append(LoadProblem(location, "It is neither a folder, a file nor module:Class."))
    return refs, problems


@cache
def _entry_points() -> tuple[tuple[str, str, str], ...]:
    return tuple((entry.name, entry.module, entry.attr) for entry in entry_points(group=GROUP))


def installed_strategies() -> list[StrategyRef]:
    """Return the modules of the entry points of installed packages."""
    return [
        StrategyRef(
            "entry point", f"{module}:{attribute}" if attribute else module, module, attribute or None, None, name
        )
        for name, module, attribute in _entry_points()
    ]


def strategy_files(code: StrategyRef) -> StrategyFiles:
    """Return the file of a module and the files it imports from its folder or package; raises `OSError`."""
    start, root, top = _locate(code)
    texts: dict[Path, bytes] = {}
    imports_app = False
    rest = [start, *_packages(start, root)]
    while rest:
        path = rest.pop()
        if path not in texts:
            texts[path] = path.read_bytes()
            names = list(_imported_names(path, texts[path], root))
            rest += _imported_files(names, root, top)
            imports_app = imports_app or any(base == root and is_ours(root, name) for base, name in names)
    digests = {str(path): sha256(text).hexdigest() for path, text in sorted(texts.items())}
    listing = "".join(f"{Path(path).relative_to(root)}\0{digest}\0" for path, digest in digests.items())
    return StrategyFiles(digests, sha256(listing.encode()).hexdigest(), imports_app)


def _packages(path: Path, root: Path) -> list[Path]:
    """Return the files that run before a module is imported: the `__init__.py` of each package above it."""
    folders = path.parents[: path.parents.index(root)] if root in path.parents else ()
    return [package / "__init__.py" for package in folders if (package / "__init__.py").is_file()]


def _in_folder(path: Path) -> StrategyRef:
    return StrategyRef("folder", str(path), path.stem, None, str(path))


def _locate(code: StrategyRef) -> tuple[Path, Path, str | None]:
    """Return a module's file, the folder of its imports, and the package whose files belong to it (null: all)."""
    if code.path is not None:
        return Path(code.path), Path(code.path).parent, None
    parts = code.module.split(".")
    start = _origin(parts)
    depth = len(parts) if start.name == "__init__.py" else len(parts) - 1
    return start, start.parents[depth], parts[0]


def _origin(parts: list[str]) -> Path:
    """Return the file from which a module would be imported; like an import it asks each finder, but runs nothing."""
    path = None
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        specs = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            raise FileNotFoundError(f"There is no module named {name}.")
        path = spec.submodule_search_locations
        origin = spec.origin
    if origin is None or not origin.endswith(".py"):
        raise FileNotFoundError(f"{'.'.join(parts)} has no source file.")
    return Path(origin).resolve()


def _imported_names(path: Path, text: bytes, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield folder and dotted name of everything a file may import; nothing for a file that Python cannot parse."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        yield from _names_in(path, root, node)


def _imported_files(names: Iterable[tuple[Path, str]], root: Path, top: str | None) -> Iterator[Path]:
    """Yield the files below a folder that these names import."""
    for base, name in names:
        if base != root or top in (None, name.split(".")[0]):
            yield from _module_files(base, name.split("."))


def _names_in(path: Path, root: Path, node: ast.AST) -> Iterator[tuple[Path, str]]:
    """Yield folder and dotted name of everything a statement may import."""
    if isinstance(node, ast.Import):
        yield from ((root, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = path.parents[node.level - 1] if node.level else root
        inner = f"{node.module}." if node.module else ""
        yield from ((base, inner + alias.name) for alias in node.names)


def _module_files(base: Path, parts: list[str]) -> Iterator[Path]:
    for depth in range(1, len(parts) + 1):
        module = base.joinpath(*parts[:depth])
        for path in (module / "__init__.py", module.with_suffix(".py")):
            if path.is_file():
                yield path.resolve()
