"""The path of a proxy below which the server is reached, such as `/zeon`, from `ZEON_ROOT_PATH`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """ASGI middleware that takes the root path off a request, whether or not the proxy has done so."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; `base_url` of Starlette's requests has the root path."""
        if scope["type"] in ("http", "websocket"):
            path, raw = scope["path"], scope["raw_path"]
            if f"{path}/".startswith(f"{self._root}/"):
                path, raw = path[len(self._root) :] or "/", raw[len(self._root) :] or b"/"
            scope = {**scope, "path": path, "raw_path": raw, "app_root_path": self._root}
        await self._app(scope, receive, send)


def root_path(request: Request) -> str:
    """Return the root path without a slash at its end: empty where the server is reached at `/`."""
    return request.base_url.path.rstrip("/")
