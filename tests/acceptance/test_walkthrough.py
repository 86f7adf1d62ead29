"""The walk-through runs as it stands, in a fresh folder, and prints what it shows."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.db.setup import embedded
from tests.paths import ROOT
from tests.support.server_process import free_port

PAGE = (ROOT / "docs" / "walkthrough.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
MARK = "@@@ block"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with nothing but the command `zeon` in it; whatever was started there is stopped."""
    folder = Path(tempfile.mkdtemp(prefix="zeon-walkthrough-"))
    command = folder / "bin" / "zeon"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m app.cli.main "$@"\n')
    command.chmod(0o755)
    yield folder
    if (folder / ".zeon").is_dir():
        embedded.start(folder / ".zeon").stop()
    shutil.rmtree(folder)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_every_command_runs_and_prints_what_the_page_shows_except_numbers(folder: Path) -> None:
    port = free_port()
    blocks = [(commands, shown or "") for commands, shown in BLOCK.findall(PAGE)]
    script = "set -eu\n" + "".join(f"echo '{MARK}'\n{commands}" for commands, _ in blocks)
    script = script.replace('"replayMsPerCandle": 200}', '"replayMsPerCandle": 1000}')  # A slow machine may come later.
    printed = run(script.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), folder, port).split(f"{MARK}\n")[1:]
    for (commands, shown), came in zip(blocks, printed, strict=True):
        missing = normalized_lines(shown) - normalized_lines(came.replace(f"127.0.0.1:{port}", "127.0.0.1:8000"))
        assert not missing, f"{commands}\n{came}"


def run(script: str, folder: Path, port: int) -> str:
    """Run a script in its own shell and return its output; then end its processes."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ZEON_", "DATABASE_URL"))}
    environment = {"PORT": str(port), "PYTHONPATH": str(ROOT), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=inherited | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed = shell.communicate(timeout=280)[0]
        finally:
            if shell.poll() != 0:
                with suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, printed
    return printed


def normalized_lines(text: str) -> set[str]:
    """Return the lines of a text without what differs from run to run: ids, numbers, widths, venue and process."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+", "ID", text)
    text = re.sub(r"\b(binance|demo)\b", "VENUE", text)
    text = re.sub(r"(by |\"by\": \")\S+:\d+", r"\1PROCESS", text)
    text = re.sub(r"-?\d[\d,.]*", "N", text)
    text = re.sub(r"-{2,}", "--", text)
    return {" ".join(line.split()) for line in text.splitlines()}
