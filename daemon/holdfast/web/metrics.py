"""`GET /metrics`: what the daemon counts, in the text form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request

from holdfast.errors import Unauthorized
from holdfast.model.records import Reading
from holdfast.sense.auth import is_local
from holdfast.web.answer import Answer

_NOT_HERE: Final = (
    "Metrics are for programs of this machine: let a proxy or an agent that runs here read them."
)


class _Readings(Collector):
    """One scrape of the daemon's readings."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Each name once, with all its labels."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for reading in self._readings:
            family = families.get(reading.name)
            if family is None:
                kind = CounterMetricFamily if reading.counts else GaugeMetricFamily
                family = families[reading.name] = kind(
                    reading.name, reading.help, labels=list(reading.labels)
                )
            family.add_metric(list(reading.labels.values()), reading.value)
        return iter(families.values())


def metrics_page(readings: Callable[[], Iterable[Reading]]) -> Callable[[Request], Awaitable[Answer]]:
    """The page. Raises Unauthorized for whoever is not a program of this machine."""

    async def metrics(request: Request) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not is_local(request.client.host if request.client else None, headers):
            raise Unauthorized(_NOT_HERE)
        registry = CollectorRegistry()
        registry.register(_Readings(readings()))
        return Answer(200, generate_latest(registry), media=CONTENT_TYPE_LATEST)

    return metrics
