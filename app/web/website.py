"""The web pages: the list of sessions, one page per session, and the files that both load."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.web.http.root_path import root_path
from app.web.http.route_spec import Call, RouteGroup, RouteSpec

FOLDER = Path(__file__).with_name("static")
LOGO_STYLE = "'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='"
"""The only inline style: it places the attribution that Lightweight Charts puts into its chart."""
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
_PAGE = "text/html"
LIST_PAGE, SESSION_PAGE, COMPARE_PAGE, API_PAGE = "sessions.html", "session.html", "compare.html", "docs.html"
MODULES = {
    LIST_PAGE: ("client.js", "common/", "list/"),
    COMPARE_PAGE: ("client.js", "common/", "compare/", "chart/theme.js", "vendor/lightweight-charts"),
    SESSION_PAGE: (
        *("client.js", "common/", "session/", "chart/", "time/", "trading/"),
        *("list/parameters.js", "vendor/lightweight-charts"),
    ),
}
"""The modules of each page, most of them by their folder."""
_NOT_FOUND = (FOLDER / "404.html").read_text("utf-8")
_PROGRAMS = ("/api/", "/x/", "/static/")
"""Addresses for programs, which get JSON."""


class WebsiteFiles(StaticFiles):
    """Files with the security headers; a page also names its modules."""

    def __init__(self, root_path: str, folder: Path = FOLDER) -> None:
        super().__init__(directory=folder, follow_symlink=True)
        self._links = {page: _module_links(root_path, folder, folders) for page, folders in MODULES.items()}

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file, or 304 if the browser already has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        if os.fspath(full_path).endswith(".ts"):  # The system may take it for a video.
            response.headers["Content-Type"] = "text/plain; charset=utf-8"
        if link := self._links.get(os.path.basename(full_path)):
            response.headers["Link"] = link
        return response


class WebsiteCalls(RouteGroup):
    """The pages and their files; they contain no user's data, so they need no user."""

    def __init__(self, root_path: str) -> None:
        self._files = WebsiteFiles(root_path)

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        routes = [
            RouteSpec("GET", "/", self.index, media=_PAGE),
            RouteSpec("GET", "/sessions/{id:uuid}", self.session, media=_PAGE),
            RouteSpec("GET", "/compare", self.compare, media=_PAGE),
            RouteSpec("GET", "/docs", self.docs, media=_PAGE),
            RouteSpec("GET", "/static/{name:path}", self.file, media="text/plain"),
        ]
        return [route._replace(open=True, budget="open") for route in routes]

    async def index(self, call: Call) -> Response:
        """Show the list of sessions."""
        return await self._files.get_response(LIST_PAGE, call.request.scope)

    async def session(self, call: Call) -> Response:
        """Show the page of one session; `?seq=` points at one event."""
        return await self._files.get_response(SESSION_PAGE, call.request.scope)

    async def compare(self, call: Call) -> Response:
        """Show several sessions side by side: `?ids=` names them."""
        return await self._files.get_response(COMPARE_PAGE, call.request.scope)

    async def docs(self, call: Call) -> Response:
        """Show the reference of the API, with a form to try each call."""
        return await self._files.get_response(API_PAGE, call.request.scope)

    async def file(self, call: Call) -> Response:
        """Send a file that the page loads."""
        return await self._files.get_response(call.request.path_params["name"], call.request.scope)


def not_found_page(request: Request) -> Response | None:
    """Return the page of a wrong address for a browser that asks for one; null for calls of the API."""
    wants_page = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")
    if not wants_page or request.url.path.startswith(_PROGRAMS):
        return None
    return HTMLResponse(_NOT_FOUND.replace('="/', f'="{root_path(request)}/'), 404, HEADERS)


def _module_links(root_path: str, folder: Path, folders: tuple[str, ...]) -> str:
    """Return a header with a page's modules, so that the browser loads them in parallel."""
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*.js"))
    modules = sorted(name for name in names if name.startswith(folders))
    return ", ".join(f"<{root_path}/static/{name}>; rel=modulepreload" for name in modules)
