"""Libraries for server-sent events follow a session through a killed server, with the lines of docs/clients.md."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.clients import npm
from tests.clients.following import PAGE, Script, block, candles_only, kill_midway, last_seq, seqs, serve
from tests.support.postgres import Database
from tests.support.server_process import StartServer

slow = pytest.mark.clients
LIBRARIES = {
    "httpx2": "python",
    "curl": "sh",
    "eventsource": "js",
    "eventsource-client": "js",
    "httpx-sse": "python",
    "sseclient-py": "python",
    "aiosseclient": "python",
}
IN_BROWSERS = {"EventSource", "fetch-event-source", "event-source-polyfill", "sse.js"}
"""Tested in tests/browser."""
FAST = ("httpx2", "curl")


@pytest.mark.parametrize(
    "library", [pytest.param(library, marks=() if library in FAST else slow) for library in LIBRARIES]
)
def test_a_library_follows_a_session_through_a_killed_server_and_ends_with_it(
    database: Database, start_server: StartServer, tmp_path: Path, library: str
) -> None:
    language = LIBRARIES[library]
    if language == "js":
        (tmp_path / "node_modules").symlink_to(npm.modules())
    elif language == "sh" and not shutil.which("curl"):
        pytest.skip("no curl")
    site = serve(database, start_server)
    session_id = candles_only(site)
    script = Script(tmp_path, f"{site.url}/api/sim/sessions/{session_id}/stream")
    with script.start(language, block(library, language)) as following:
        site.post(f"/{session_id}/start")
        kill_midway(site, session_id)
        seen = seqs(following)
    assert seen == list(range(1, last_seq(site, session_id) + 1))
    assert len(seen) > 1000


def test_every_library_of_the_page_is_tested() -> None:
    libraries = PAGE[PAGE.index("## Libraries for server-sent events") :].split("\n## ")[0]
    assert set(re.findall(r"^### (.+)$", libraries, re.MULTILINE)) == {*LIBRARIES, *IN_BROWSERS}
