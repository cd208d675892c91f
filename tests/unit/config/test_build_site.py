from __future__ import annotations

from tests.unit.config.conftest import Load, Problems

from holdfast.model.actions import Host, Service
from holdfast.model.snapshot import Channel, FieldType, Listen, MailReplies, Operator
from holdfast.model.values import SECOND, Secret

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILLdmGNZb1q1rDRYi2t1a1GGyTOlDpWqxF7u5tv2SKPe"


def test_hosts_are_built_with_their_pinned_key(snapshot: Load) -> None:
    assert snapshot().hosts == {
        "web1": Host("web1", "10.0.0.5", "act", KEY, 22, Secret("ssh-key"), "web"),
        "web2": Host("web2", "web2.example", "act", KEY, 2222, Secret("web2"), None),
    }


def test_services_are_built(snapshot: Load) -> None:
    assert snapshot().services == {
        "shop": Service(
            "shop", ("web1", "web2"), "shop.service", "https://shop.example/", (), {"a/b": "x", "dir": "/srv"}
        ),
        "mailer": Service("mailer", ("web1",), None, None, ("shop",), {}),
    }


def test_event_types_are_built_and_probes_are_there_already(snapshot: Load) -> None:
    events = snapshot().events

    assert events["deploy.started"]["data.files"] == FieldType("list", optional=True)
    assert events["deploy.started"]["data.late"] == FieldType("bool")
    assert events["http.probe"]["data.ok"] == FieldType("bool")


def test_channels_and_operators_are_built(snapshot: Load, site: str) -> None:
    mail = """mail:
    url: $secret.mail-url
    timeout: 5s
    replies:
      imap: {host: 127.0.0.1, user: me, password: $secret.imap, tls: false, folder: Holdfast}
      address: holdfast@lab.test
      authserv_id: mx.lab.test"""
    changed = site.replace("mail: {url: $secret.mail-url}", mail + "\n  push: {url: $secret.push}")
    changed = changed.replace("channels: [mail]", "channels: [mail, push], addresses: [me@lab.test]")
    found = snapshot(site=changed)
    replies = MailReplies(
        "127.0.0.1",
        143,
        "me",
        Secret("imap"),
        "holdfast@lab.test",
        tls=False,
        folder="Holdfast",
        authserv_id="mx.lab.test",
    )

    assert found.channels == {
        "mail": Channel("mail", Secret("mail-url"), replies, 5 * SECOND),
        "push": Channel("push", Secret("push"), None, 15 * SECOND),
    }
    assert found.operators == {"me": Operator("me", ("mail", "push"), ("me@lab.test",))}


def test_listen_has_a_default_and_can_be_set(snapshot: Load, site: str) -> None:
    assert snapshot().listen == Listen()
    assert snapshot(site=f"{site}\nlisten: {{port: 0}}\n").listen == Listen("127.0.0.1", 0)


def test_a_wrong_entry_does_not_make_its_name_unknown(problems: Problems, site: str) -> None:
    lines = problems(site=site.replace("user: act, port: 2222", "usr: act, port: 2222"))

    assert len(lines) == 1
    assert "unknown key `usr` (did you mean user?)" in lines[0]


def test_a_wrong_section_does_not_make_everything_unknown(problems: Problems, site: str) -> None:
    lines = problems(site=site.replace("  hosts:\n", "  hosts: []\n  hosts-before:\n"))

    assert [line.split(": ", 2)[1] for line in lines] == ["estate.hosts", "estate.hosts-before"]


def test_an_unreadable_site_does_not_make_everything_unknown(problems: Problems) -> None:
    rule = """
rule: example
doc: An example.
when: {probe: {event: http.probe, where: {service: elsewhere}}}
incident: {type: service-down, severity: error, title: "$service.name"}
clears: {after: 1h}
contain: [{do: restart-unit, at: web9, with: {unit: $service.unit}}, {do: misspelled}]
"""

    assert problems(rule, site="format: 1\nestate: [\n") == [
        "holdfast.yaml:3:1: a value is missing here, or a bracket before it is not closed"
    ]


def test_mistakes_of_all_sections_are_found_at_once(problems: Problems, site: str) -> None:
    changed = (
        site.replace("hosts: [web1, web2]", "hosts: [web1, web3]")
        .replace("depends_on: [shop]", "depends_on: [mailer]")
        .replace("service: shop, every", "service: shp, every")
        .replace("channels: [mail]", "channels: [male]")
        .replace("data.late: bool", "data.late: boolean")
    )

    assert [line.split(": ", 2)[1] for line in problems(site=changed)] == [
        "estate.services.shop.hosts[1]",
        "estate.services.mailer.depends_on[0]",
        "sources.shop-probe.service",
        "events.deploy.started.data.late",
        "operators.me.channels[0]",
    ]
