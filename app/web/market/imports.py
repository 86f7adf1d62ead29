"""Import of a candle file over HTTP: the file is the body."""

from __future__ import annotations

import asyncio
import json
import shlex
from functools import partial
from pathlib import Path

from starlette.responses import Response

from app.candles.imports.importer import import_file
from app.candles.imports.inspection import inspect_file
from app.candles.rows.report import Inspection, Report
from app.db import audit
from app.engine.session_service import SessionService
from app.errors import RejectedFileError
from app.settings import Settings
from app.tasks import run_in_thread
from app.web.http.request_id import audit_origin
from app.web.http.responses import json_text_response
from app.web.http.route_spec import Call, RouteGroup, RouteSpec
from app.web.market.import_schemas import ImportAnswer, ImportQuery
from app.web.market.upload import received_file

_AT_ONCE = 2
"""How many files a process reads at the same time; each takes a connection and a core."""


class ImportCalls(RouteGroup):
    """The call `/api/market/import`."""

    tag = "candles"

    def __init__(self, sim: SessionService, settings: Settings) -> None:
        self._sim = sim
        self._settings = settings
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[RouteSpec]:
        """Return the routes of these calls."""
        return [
            RouteSpec(
                "POST", "/api/market/import", self.import_candles, "importCandles", ImportQuery, answer=ImportAnswer,
                bare=True, takes_file=True, refusals=(422,),
            )
        ]  # fmt: skip

    async def import_candles(self, call: Call, query: ImportQuery) -> Response:
        """Import the candle file in the body, or with dryRun report what that would store."""
        venue = query.venue or self._settings.venue
        async with received_file(call.request, query.file, self._settings.max_import) as path, self._turns:
            if query.dry_run:
                inspection = await self._inspect(path, venue, query)
                return json_text_response(json.dumps({"venue": venue, **inspection.as_json()}))
            report = await self._import(call, path, venue, query)
        if report.rejected is not None:
            raise RejectedFileError(report.rejected, details=report.as_json())
        return json_text_response(json.dumps(report.as_json()))

    async def _inspect(self, path: Path, venue: str, query: ImportQuery) -> Inspection:
        calendar = self._sim.calendars.get(venue)
        arguments = (path, query.symbol, query.timeframe, query.options(), calendar)
        inspection = await run_in_thread(inspect_file, *arguments)
        inspection.command = inspection.command.replace(shlex.quote(str(path)), shlex.quote(path.name))
        return inspection

    async def _import(self, call: Call, path: Path, venue: str, query: ImportQuery) -> Report:
        key = (path, venue, query.symbol or "", query.timeframe or "", None, self._sim.calendars.get(venue))
        recording = audit.recording(audit_origin(call.request), call.user_id, "candles.import")
        work = partial(import_file, options=query.options(), keep_going=query.keep_going, recording=recording)
        return await self._sim.database.run(work, *key)
