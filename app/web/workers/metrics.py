"""The metrics of all workers of a server as one: whichever worker is asked, it asks the others and adds up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from app.web.workers.place import WorkerPlace

_ANSWER_S = 2.0
_MERGED: dict[str, Callable[[Iterable[float]], float]] = {
    "zeon_sessions": max,
    "zeon_build_info": max,
    "zeon_database_up": min,
    "zeon_listening": min,
    "zeon_writes_wait": max,
    "process_start_time_seconds": min,
}
"""How figures become one that are not added up: those of the database, and those that say yes or no."""


class WorkerMetrics:
    """Answers the other workers with this one's metrics, and merges those of all."""

    def __init__(self, place: WorkerPlace, registry: CollectorRegistry) -> None:
        self._place = place
        self._registry = registry

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer other workers until the block ends."""
        path = self._place.metrics_socket(self._place.number)
        path.unlink(missing_ok=True)  # A worker that was killed left its socket.
        server = await asyncio.start_unix_server(self._answer, path)
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def merged(self) -> CollectorRegistry:
        """Return the figures of all workers that answer, as one registry."""
        others = [number for number in range(1, self._place.total + 1) if number != self._place.number]
        texts = await asyncio.gather(*[self._read(number) for number in others])
        own = generate_latest(self._registry).decode()
        registry = CollectorRegistry()
        registry.register(_Merged([own, *[text for text in texts if text]]))
        return registry

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(generate_latest(self._registry))
        with suppress(OSError):
            await writer.drain()
        writer.close()

    async def _read(self, number: int) -> str:
        """Return the metrics of a worker; nothing while it starts or does not answer in time."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._place.metrics_socket(number))
                text = await reader.read(-1)
                writer.close()
                return text.decode()
        return ""


class _Merged(Collector):
    def __init__(self, texts: Iterable[str]) -> None:
        self._families = merge(texts)

    def collect(self) -> Iterator[Metric]:
        """Yield the merged figures."""
        yield from self._families


def merge(texts: Iterable[str]) -> list[Metric]:
    """Merge metrics in the text format of Prometheus: equal names and labels become one figure."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[Any, ...], list[float]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            figures = values.setdefault(merged.name, {})
            for sample in family.samples:
                figures.setdefault((sample.name, *sorted(sample.labels.items())), []).append(sample.value)
    for name, family in families.items():
        for (sample_name, *labels), numbers in values[name].items():
            family.add_sample(sample_name, dict(labels), _MERGED.get(name, sum)(numbers))
    return list(families.values())
