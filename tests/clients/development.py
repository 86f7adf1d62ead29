"""Vite and webpack as people develop pages with: a server on another port that gives a page and may pass calls on."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients import npm
from tests.clients.following import until
from tests.support.server_process import free_port

PAGE = '<!doctype html><title>A page</title><script type="module" src="/index.js"></script>'
WEBPACK = """import webpack from "webpack";
import Server from "webpack-dev-server";
import config from "./webpack.config.js";
const here = { host: "127.0.0.1", port: Number(process.argv[2]), static: ".", hot: false, client: false };
const compiler = webpack({ mode: "development", entry: "./index.js" });
await new Server({ ...config.devServer, ...here }, compiler).start();
"""


@contextmanager
def vite(folder: Path, port: int, config: str, script: str = "") -> Iterator[str]:
    """Serve a page with a script by Vite; gives its address."""
    _write(folder, script)
    (folder / "vite.config.js").write_text(config)
    command = ["node_modules/vite/bin/vite.js", "--host", "127.0.0.1", "--port", str(port), "--strictPort"]
    with _serving(folder, port, command) as url:
        yield url


@contextmanager
def webpack(folder: Path, port: int, config: str) -> Iterator[str]:
    """Serve a page by webpack's development server; gives its address."""
    _write(folder, "")
    (folder / "webpack.config.js").write_text(config)
    (folder / "serve.js").write_text(WEBPACK)
    with _serving(folder, port, ["serve.js", str(port)]) as url:
        yield url


def any_port() -> tuple[int, str]:
    """Return a free port and the origin of a page on it."""
    port = free_port()
    return port, f"http://127.0.0.1:{port}"


def _write(folder: Path, script: str) -> None:
    (folder / "node_modules").symlink_to(npm.modules())
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "index.html").write_text(PAGE)
    (folder / "index.js").write_text(script)


@contextmanager
def _serving(folder: Path, port: int, command: list[str]) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with (folder / "said.log").open("w") as output:
        process = subprocess.Popen([npm.node(), *command], cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            until(lambda: process.poll() is not None or _answers(url))
            assert process.poll() is None, (folder / "said.log").read_text()
            yield url
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
