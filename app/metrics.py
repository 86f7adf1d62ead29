"""What the engine measures for Prometheus; an observation costs about a microsecond."""

from __future__ import annotations

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

_LATENESS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
_COMMIT_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)


class EngineMetrics:
    """The counters and histograms of one server, in a registry of their own; deploy/metrics.md explains each."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()
        self.registry = CollectorRegistry()
        self.lateness = Histogram(
            "zeon_tick_lateness_seconds",
            "How long after its due time a tick of a paced session was in the log.",
            registry=self.registry,
            buckets=_LATENESS_S,
        )
        self.commit = Histogram(
            "zeon_commit_seconds",
            "How long Postgres took for a transaction that appends ticks.",
            registry=self.registry,
            buckets=_COMMIT_S,
        )
        self.ticks = Counter("zeon_ticks_total", "Ticks written.", registry=self.registry)
        self.events = Counter("zeon_events_total", "Events of ticks written.", registry=self.registry)
        self.append_retries = Counter(
            "zeon_append_retries_total", "Appends tried again because the database did not answer or was busy.",
            registry=self.registry,
        )  # fmt: skip
        self.failures = Counter("zeon_sessions_failed_total", "Sessions that failed here.", registry=self.registry)
        ProcessCollector(registry=self.registry)
