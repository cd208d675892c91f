from __future__ import annotations

from tests.unit.config.conftest import Load

from holdfast.model.snapshot import AuthScheme, Cast, Mapped, Source, SourceKind
from holdfast.model.values import SECOND, Secret, Severity, Trust


def test_a_probe_takes_what_it_does_not_say_from_its_service(snapshot: Load) -> None:
    assert snapshot().sources["shop-probe"] == Source(
        name="shop-probe",
        kind=SourceKind.HTTP_PROBE,
        type="http.probe",
        service="shop",
        url="https://shop.example/",
        every=2 * SECOND,
        timeout=2 * SECOND,
    )


def test_a_probe_says_everything_itself(snapshot: Load, site: str) -> None:
    probe = (
        "{kind: http-probe, service: mailer, url: 'http://mailer.example:8025/x', every: 1m, timeout: 9s, "
        "expect_status: 204, trust: high, max_severity: error}"
    )
    found = snapshot(site=site.replace("anything: {kind: webhook}", f"anything: {probe}")).sources["anything"]

    assert found == Source(
        name="anything",
        kind=SourceKind.HTTP_PROBE,
        trust=Trust.HIGH,
        max_severity=Severity.ERROR,
        type="http.probe",
        service="mailer",
        url="http://mailer.example:8025/x",
        every=60 * SECOND,
        timeout=9 * SECOND,
        expect_status=204,
    )


def test_a_webhook_and_its_map_are_built(snapshot: Load, site: str) -> None:
    hook = """anything:
    kind: webhook
    verify: {scheme: hmac, secret: $secret.stripe}
    trust: high
    severity: warning
    max_severity: error
    host: web1
    map:
      id: $.id
      type: order.paid
      time: {from: $.created, as: epoch}
      service: {from: "$.labels['x'].y", table: {a: shop}, default: mailer}
      data.amount: {from: '$.items[0].amount', as: int, default: 0}
      data.note: $$5
      data.who: {from: $.text, regex: "by (?P<value>[a-z]+)"}
""".replace("\"$.labels['x'].y\"", "'$.labels[\"x\"].y'")
    found = snapshot(site=site.replace("anything: {kind: webhook}\n", hook)).sources["anything"]

    assert found == Source(
        name="anything",
        kind=SourceKind.WEBHOOK,
        trust=Trust.HIGH,
        max_severity=Severity.ERROR,
        severity=Severity.WARNING,
        host="web1",
        scheme=AuthScheme.HMAC,
        secret=Secret("stripe"),
        map=(
            Mapped("id", ("id",)),
            Mapped("type", None, "order.paid"),
            Mapped("time", ("created",), cast=Cast.EPOCH),
            Mapped("service", ("labels", "x", "y"), table={"a": "shop"}, default="mailer"),
            Mapped("data.amount", ("items", 0, "amount"), cast=Cast.INT, default=0),
            Mapped("data.note", None, "$5"),
            Mapped("data.who", ("text",), regex="by (?P<value>[a-z]+)"),
        ),
    )
