"""The page in the browser: a list of sessions, one page per session, and the files both are made of."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from app.errors import NotFoundError

FOLDER = Path(__file__).with_name("static")
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOGO_STYLE = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
"""The one inline style there is: it places the attribution that Lightweight Charts puts into its chart."""
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {LOGO_STYLE}; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


MODULES = {"sessions.html": ("common/", "list/"), "session.html": ("common/", "session/", "vendor/")}
"""The folders with the modules of each page."""


class File(NamedTuple):
    """A file as it is answered."""

    content: bytes
    media: str
    tag: str


class PageCalls:
    """Open to everybody: the page itself holds nothing of any user. Its files are read once."""

    def __init__(self) -> None:
        found = (file for file in FOLDER.rglob("*") if file.suffix in MEDIA)
        self._files = {file.relative_to(FOLDER).as_posix(): _read(file) for file in found}
        self._links = {page: _link(self._files, folders) for page, folders in MODULES.items()}

    async def index(self, request: Request) -> Response:
        """Show the list of sessions."""
        return self._file("sessions.html", request)

    async def session(self, request: Request) -> Response:
        """Show the page of one session; `?seq=` points at one event."""
        return self._file("session.html", request)

    async def file(self, request: Request) -> Response:
        """Give a file the page needs."""
        return self._file(request.path_params["name"], request)

    def _file(self, name: str, request: Request) -> Response:
        """Answer with a file, or with 304 where the browser has this very one."""
        if name not in self._files:
            raise NotFoundError()
        file = self._files[name]
        headers = {**HEADERS, "ETag": file.tag, **self._links.get(name, {})}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media, headers=headers)


def _link(names: Iterable[str], folders: tuple[str, ...]) -> dict[str, str]:
    """Name a page's modules in a header, so that the browser asks for all at once and not for one after the other."""
    modules = sorted(name for name in names if name.endswith(".js") and name.startswith(folders))
    return {"Link": ", ".join(f"</static/{name}>; rel=modulepreload" for name in modules)}


def _read(file: Path) -> File:
    content = file.read_bytes()
    return File(content, MEDIA[file.suffix], f'"{sha256(content).hexdigest()[:32]}"')
