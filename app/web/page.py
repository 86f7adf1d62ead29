"""The page in the browser: three static files, read once."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from app.errors import NotFound

FOLDER = Path(__file__).with_name("static")
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class PageCalls:
    """Open to everybody: the page itself holds nothing of any user."""

    def __init__(self) -> None:
        self._files = {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.suffix in MEDIA}

    async def index(self, _: Request) -> Response:
        """Show the page."""
        return self._file("index.html")

    async def file(self, request: Request) -> Response:
        """Give a file the page needs."""
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        if name not in self._files:
            raise NotFound()
        return Response(self._files[name], media_type=MEDIA[Path(name).suffix], headers=HEADERS)
