"""Every answer of the door for events, over real HTTP, with a real journal behind it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import msgspec
import pytest

from holdfast.errors import ConfigError, Problem, StoreError
from holdfast.journal import Ack, entrance, writer
from holdfast.journal.pace import Pace
from holdfast.model.events import Entry, Event
from holdfast.model.kinds import EntryKind
from holdfast.model.snapshot import Mapped, Source, SourceKind
from holdfast.web import ingest

DEADLINE = 20
TOKEN = "s3cret-token"
JSON = {"content-type": "application/json"}
CE = {"specversion": "1.0", "id": "A-1", "source": "/s", "type": "object.created", "data": {"size": 3}}


@pytest.fixture(params=[False, True], ids=["in parts", "at once"])
def at_once(request: pytest.FixtureRequest) -> bool:
    """Everything is answered alike, whichever way it comes."""
    return bool(request.param)


def signed(body: bytes) -> dict[str, str]:
    digest = hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    return JSON | {"x-holdfast-signature": f"sha256={digest}"}


def event_of(entry: Entry) -> Event:
    return msgspec.json.decode(entry.body, type=Event)


def refused(response: httpx.Response) -> dict[str, str]:
    """What a refusal says: always the same two texts."""
    said = response.json()
    assert response.headers["content-type"] == "application/json"
    assert set(said) == {"error", "what_to_do"}
    assert said["error"].endswith(".")
    assert said["what_to_do"].endswith(".")
    return said


def test_an_event_is_on_disk_when_it_is_acknowledged(door, client: httpx.Client) -> None:
    response = client.post("/events?source=open", json={"id": 1, "type": "ping", "value": 95})

    assert (response.status_code, response.json()) == (202, {"accepted": 1, "duplicates": 0})
    (entry,) = door.entries()
    event = event_of(entry)
    assert (entry.kind, entry.source, entry.id, entry.commit) == (EntryKind.EVENT, "open", "1", "c0ffee")
    assert (event.id, event.type, event.data, event.provenance.auth) == (
        "1",
        "ping",
        {"value": 95},
        "loopback",
    )


def test_a_second_arrival_is_acknowledged_and_stored_once(door, client: httpx.Client) -> None:
    answers = [client.post("/events?source=open", json={"id": "same", "type": "x"}).json() for _ in range(3)]

    assert answers == [
        {"accepted": 1, "duplicates": 0},
        {"accepted": 0, "duplicates": 1},
        {"accepted": 0, "duplicates": 1},
    ]
    assert len(door.entries()) == 1


def test_a_retry_without_an_id_is_a_duplicate(door, client: httpx.Client) -> None:
    body = {"type": "x", "time": "2026-01-01T00:00:00Z", "data": {"a": 1}}
    client.post("/events?source=open", json=body)

    assert client.post("/events?source=open", json=body).json() == {"accepted": 0, "duplicates": 1}


def test_a_batch_of_plain_events_is_taken_whole(door, client: httpx.Client) -> None:
    body = [{"id": number % 4, "type": "x"} for number in range(5)]

    assert client.post("/events?source=open", json=body).json() == {"accepted": 4, "duplicates": 1}
    assert [entry.id for entry in door.entries()] == ["0", "1", "2", "3"]


def test_a_thousand_events_fit_into_one_request(door, client: httpx.Client) -> None:
    body = [{"id": number, "type": "x"} for number in range(1000)]

    assert client.post("/events?source=open", json=body).json() == {"accepted": 1000, "duplicates": 0}
    assert len(door.entries()) == 1000


def test_one_wrong_event_refuses_its_whole_batch(door, client: httpx.Client) -> None:
    response = client.post(
        "/events?source=open", json=[{"id": 1, "type": "x"}, {"id": 2}, {"id": 3, "type": "x"}]
    )

    assert response.status_code == 422
    assert refused(response)["error"] == "Event 2 of the batch: The event has no type."
    assert door.entries() == []


def test_an_empty_batch_is_nothing(door, client: httpx.Client) -> None:
    assert client.post("/events?source=open", json=[]).json() == {"accepted": 0, "duplicates": 0}


def test_a_structured_cloudevent_is_an_event(door, client: httpx.Client) -> None:
    response = client.post(
        "/events?source=open",
        content=msgspec.json.encode(CE),
        headers={"content-type": "application/cloudevents+json; charset=UTF-8"},
    )

    assert response.status_code == 202
    assert (door.entries()[0].id, event_of(door.entries()[0]).data) == (
        "/s#A-1",
        {"ce_source": "/s", "size": 3},
    )


def test_a_batch_of_cloudevents_is_taken_whole(door, client: httpx.Client) -> None:
    body = msgspec.json.encode([CE, CE | {"id": "A-2"}, CE])
    response = client.post(
        "/events?source=open", content=body, headers={"content-type": "application/cloudevents-batch+json"}
    )

    assert response.json() == {"accepted": 2, "duplicates": 1}
    assert [entry.id for entry in door.entries()] == ["/s#A-1", "/s#A-2"]


def test_a_binary_cloudevent_is_the_same_event(door, client: httpx.Client) -> None:
    headers = JSON | {"ce-specversion": "1.0", "ce-id": "A-1", "ce-source": "/s", "ce-type": "object.created"}
    response = client.post("/events?source=open", content=b'{"size": 3}', headers=headers)
    again = client.post(
        "/events?source=open",
        content=msgspec.json.encode(CE),
        headers={"content-type": "application/cloudevents+json"},
    )

    assert response.json() == {"accepted": 1, "duplicates": 0}
    assert again.json() == {"accepted": 0, "duplicates": 1}
    assert event_of(door.entries()[0]).data == {"ce_source": "/s", "size": 3}


def test_a_batch_under_the_type_of_one_cloudevent_is_refused(client: httpx.Client) -> None:
    response = client.post(
        "/events?source=open",
        content=msgspec.json.encode([CE]),
        headers={"content-type": "application/cloudevents+json"},
    )

    assert response.status_code == 400
    assert "cloudevents-batch+json" in refused(response)["what_to_do"]


def test_a_source_reads_its_own_format_through_its_map(door, client: httpx.Client) -> None:
    response = client.post("/in/generic/mapped", json={"evt": {"id": "e1", "amount": "42"}, "noise": [1]})
    event = event_of(door.entries()[0])

    assert response.status_code == 202
    assert (event.id, event.type, event.service, event.data) == (
        "e1",
        "charge.failed",
        "shop",
        {"amount": 42},
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/events", 400),
        ("/events?source", 401),
        ("/events?src=open", 400),
        ("/events?source=open&source=token", 400),
        ("/events?source=", 401),
        ("/events?a=1&source=open", 202),
        ("/events?source=op%65n", 202),
        ("/in/generic/op%65n", 202),
        ("/in/generic/", 401),
        ("/in/generic/open/", 401),
        ("/in/other", 404),
        ("/events/", 404),
        ("/", 404),
        ("//events", 404),
    ],
)
def test_a_request_names_one_source(client: httpx.Client, path: str, status: int) -> None:
    response = client.post(path, json={"id": 1, "type": "x"})

    assert response.status_code == status
    if status != 202:
        refused(response)


def test_the_token_of_the_source_is_asked_for(door, client: httpx.Client) -> None:
    right = client.post(
        "/events?source=token", json={"id": 1, "type": "x"}, headers={"authorization": f"Bearer {TOKEN}"}
    )
    wrong = client.post(
        "/events?source=token", json={"id": 2, "type": "x"}, headers={"authorization": "Bearer no"}
    )
    none = client.post("/events?source=token", json={"id": 3, "type": "x"})

    assert (right.status_code, wrong.status_code, none.status_code) == (202, 401, 401)
    assert wrong.headers["www-authenticate"] == 'Bearer realm="holdfast"'
    assert [event_of(entry).provenance.auth for entry in door.entries()] == ["bearer"]


def test_a_signature_covers_the_body_as_it_came(door, client: httpx.Client) -> None:
    body = b'{"id":1,  "type":"x"}'
    right = client.post("/events?source=signed", content=body, headers=signed(body))
    changed = client.post("/events?source=signed", content=body.replace(b"1", b"2"), headers=signed(body))
    reformatted = client.post("/events?source=signed", content=b'{"id":1,"type":"x"}', headers=signed(body))

    assert (right.status_code, changed.status_code, reformatted.status_code) == (202, 401, 401)
    assert [event_of(entry).provenance.auth for entry in door.entries()] == ["hmac"]


@pytest.mark.parametrize("source", ["nobody", "token", "signed", "probe", "%00", "..%2f..%2fetc", "x" * 3000])
def test_an_unknown_source_and_a_wrong_credential_look_the_same(client: httpx.Client, source: str) -> None:
    known = client.post("/events?source=token", json={"type": "x"}, headers={"authorization": "Bearer no"})
    response = client.post(
        f"/events?source={source}", json={"type": "x"}, headers={"authorization": "Bearer no"}
    )

    assert (response.status_code, response.content) == (401, known.content)
    assert [name for name in response.headers if name != "date"] == [
        name for name in known.headers if name != "date"
    ]


def test_a_stranger_is_refused_before_the_body_is_looked_at(client: httpx.Client) -> None:
    assert client.post("/events?source=nobody", content=b"{{{", headers=JSON).status_code == 401
    assert client.post("/events?source=token", content=b"{{{", headers=JSON).status_code == 401


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "origin"])
def test_a_source_without_a_secret_does_not_hear_what_was_carried(client: httpx.Client, header: str) -> None:
    response = client.post("/events?source=open", json={"type": "x"}, headers={header: "127.0.0.1"})

    assert response.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": ""},
        {"content-type": "application/jsonp"},
        JSON | {"content-encoding": "gzip"},
        JSON | {"content-encoding": "identity, gzip"},
        {
            "content-type": "image/png",
            "ce-specversion": "1.0",
            "ce-id": "1",
            "ce-source": "s",
            "ce-type": "t",
        },
    ],
)
def test_what_is_no_json_by_its_headers_is_unsupported(client: httpx.Client, headers: dict[str, str]) -> None:
    response = client.post("/events?source=open", content=b'{"type":"x"}', headers=headers)

    assert response.status_code == 415
    refused(response)


def test_content_type_in_any_case_with_parameters_is_json(client: httpx.Client) -> None:
    headers = {"content-type": "Application/JSON ; charset=utf-8", "content-encoding": "Identity"}

    assert (
        client.post("/events?source=open", content=b'{"id":1,"type":"x"}', headers=headers).status_code == 202
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"type": NaN}', 400),
        (b'{"type":"x","a":1e400}', 400),
        (b'{"type":"x","a":"\\ud800"}', 400),
        (b'{"type":"\xff"}', 400),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 422),
        (b"[" * 10_000, 422),
        (b"{" + b",".join(b'"k%d":1' % number for number in range(60_000)) + b"}", 422),
        (b'{"type":"x","a":"' + b"x" * 70_000 + b'"}', 422),
        (b'{"type":"x","a":"' + b"x" * 1_100_000 + b'"}', 413),
        (b'"just a text"', 422),
        (b'{"id":"a\\nb","type":"x"}', 422),
        (b'{"id":"a\\u0000b","type":"x"}', 422),
        (b'{"id":{},"type":"x"}', 422),
        (b'{"id":"' + b"x" * 257 + b'","type":"x"}', 422),
        (b'{"id":1,"type":"disk.full","data":{"percent":"lots"}}', 422),
        (b'{"id":1,"type":"disk.full"}', 422),
        (b"[" + b",".join([b'{"type":"x"}'] * 1001) + b"]", 413),
        (b"[" + b",".join([b"1"] * 300_000) + b"]", 422),
        (b'{"type":"x","a":' + b"9" * 5000 + b"}", 400),
        (b'{"id":1,"id":2,"type":"x"}', 202),
    ],
)
def test_hostile_json_gets_one_clear_answer_and_harms_nobody(
    door, client: httpx.Client, body: bytes, status: int
) -> None:
    response = client.post("/events?source=open", content=body, headers=JSON)
    after = client.post("/events?source=open", json={"id": "after", "type": "x"})

    assert response.status_code == status
    assert after.status_code == 202
    if status != 202:
        assert len(refused(response)["error"]) < 300
        assert [entry.id for entry in door.entries()] == ["after"]


def test_ten_megabytes_are_refused_by_their_length(door, client: httpx.Client) -> None:
    response = client.post("/events?source=open", content=b"x" * 10_000_000, headers=JSON)

    assert response.status_code == 413
    assert client.post("/events?source=open", json={"id": 1, "type": "x"}).status_code == 202


def test_ten_megabytes_without_a_length_are_refused_as_they_come(door, client: httpx.Client) -> None:
    def chunks():
        for _ in range(160):
            yield b"x" * 65_536

    response = client.post("/events?source=open", content=chunks(), headers=JSON)

    assert response.status_code == 413
    assert client.post("/events?source=open", json={"id": 1, "type": "x"}).status_code == 202


def test_a_body_in_chunks_is_a_body(door, client: httpx.Client) -> None:
    response = client.post(
        "/events?source=open", content=iter([b'{"id":1,', b'"type":', b'"x"}']), headers=JSON
    )

    assert response.status_code == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"])
def test_events_are_posted(client: httpx.Client, method: str) -> None:
    response = client.request(method, "/events?source=open")

    assert response.status_code in (405, 400)
    if response.status_code == 405:
        assert response.headers["allow"] == "POST"


def test_one_source_that_fills_its_share_gets_429_and_others_are_served(open_door, until) -> None:
    door = open_door(max_waiting=16)
    with door.held_disk() as let_go, ThreadPoolExecutor(16) as pool, door.client() as client:
        waiting = [
            pool.submit(client.post, "/events?source=open", json={"id": number, "type": "x"})
            for number in range(4)
        ]
        assert until(lambda: door.journal.waiting() == 4)
        full = client.post("/events?source=open", json={"id": "more", "type": "x"})
        other = pool.submit(client.post, "/in/generic/mapped", json={"evt": {"id": "e", "amount": 1}})
        assert until(lambda: door.journal.waiting() == 5)
        let_go()
        answers = [future.result(DEADLINE).status_code for future in (*waiting, other)]
    with door.client() as client:
        again = client.post("/events?source=open", json={"id": "more", "type": "x"})

    assert (full.status_code, full.headers["retry-after"]) == (429, "1")
    refused(full)
    assert answers == [202] * 5
    assert again.status_code == 202
    assert door.journal.refused() == {"open": 1}
    assert door.app.complaints.counts["open", "429"] == 1


def test_a_full_journal_gets_503_with_a_time_to_try_again(open_door, until) -> None:
    door = open_door(max_waiting=2)
    with door.held_disk() as let_go, ThreadPoolExecutor(4) as pool, door.client() as client:
        waiting = [
            pool.submit(client.post, "/events?source=open", json={"id": 1, "type": "x"}),
            pool.submit(client.post, "/in/generic/mapped", json={"evt": {"id": "e", "amount": 1}}),
        ]
        assert until(lambda: door.journal.waiting() == 2)
        full = client.post(
            "/events?source=token", json={"id": 1, "type": "x"}, headers={"authorization": f"Bearer {TOKEN}"}
        )
        let_go()
        answers = [future.result(DEADLINE).status_code for future in waiting]

    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    refused(full)
    assert answers == [202, 202]


def test_no_202_before_the_commit(door, until) -> None:
    with door.held_disk() as let_go, ThreadPoolExecutor(1) as pool, door.client() as client:
        answer = pool.submit(client.post, "/events?source=open", json={"id": 1, "type": "x"})
        assert until(lambda: door.journal.waiting() == 1)
        early, stored = answer.done(), door.entries()
        alive = client.get("/healthz").status_code
        let_go()
        late = answer.result(DEADLINE).status_code

    assert (early, stored, alive, late) == (False, [], 200, 202)
    assert len(door.entries()) == 1


def test_a_disk_that_fails_acknowledges_nothing(door, client: httpx.Client) -> None:
    with door.database.begin("tests.integration.web") as tx:
        pages = int(tx.exec_driver_sql("PRAGMA page_count").scalar())
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    body = [{"id": number, "type": "x", "data": {"text": "x" * 60_000}} for number in range(16)]
    response = client.post("/events?source=open", json=body)
    with door.database.begin("tests.integration.web") as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
    stored = door.entries()
    again = client.post("/events?source=open", json=body)

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    refused(response)
    assert stored == []
    assert again.json() == {"accepted": 16, "duplicates": 0}


async def never(entries: Sequence[Entry]) -> list[Ack]:
    """A commit that does not come."""
    await asyncio.Event().wait()
    return []


def test_a_commit_that_does_not_come_is_not_waited_for_for_ever(
    open_door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "COMMIT_WITHIN", 0.1)

    with open_door(append=never).client() as client:
        response = client.post("/events?source=open", json={"id": 1, "type": "x"})

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_a_request_behind_one_that_waits_takes_no_patience_from_it(
    open_door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "COMMIT_WITHIN", 0.1)
    opened = open_door(append=never)
    event = b"POST /events?source=open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    event += b'Content-Length: 12\r\n\r\n{"type":"x"}'
    with socket.create_connection(("127.0.0.1", opened.port), timeout=DEADLINE) as client:
        client.sendall(event + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: client.recv(65_536), b""))

    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"503", b"200"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreError("/secret/path is damaged"), 503),
        (ConfigError([Problem("/secret/path", 1, 1, "", "no such secret")]), 503),
        (ZeroDivisionError("/secret/path"), 500),
    ],
)
def test_an_error_within_is_said_without_its_details(open_door, error: Exception, status: int) -> None:
    async def fail(entries: Sequence[Entry]) -> list[Ack]:
        raise error

    with open_door(append=fail).client() as client:
        response = client.post("/events?source=open", json={"id": 1, "type": "x"})
        alive = client.get("/healthz")

    assert response.status_code == status
    assert "secret" not in response.text
    refused(response)
    assert alive.status_code == 200


def test_a_secret_that_cannot_be_read_lets_nobody_in(open_door) -> None:
    def missing(wanted: object) -> str:
        raise ConfigError([Problem("holdfast.yaml", 1, 1, "", f"{wanted} is not there")])

    with open_door(secret=missing).client() as client:
        response = client.post(
            "/events?source=token", json={"type": "x"}, headers={"authorization": f"Bearer {TOKEN}"}
        )

    assert response.status_code == 503
    assert "token" not in response.text


def test_many_clients_at_once_are_all_acknowledged_once(door, until) -> None:
    def work(worker: int) -> list[int]:
        with door.client() as client:
            return [
                client.post("/events?source=open", json={"id": f"{worker}-{number}", "type": "x"}).status_code
                for number in range(25)
            ]

    with ThreadPoolExecutor(16) as pool:
        statuses = [status for one in pool.map(work, range(16)) for status in one]

    assert statuses == [202] * 400
    assert len({entry.id for entry in door.entries()}) == len(door.entries()) == 400


def test_a_new_config_reads_the_next_event(door, client: httpx.Client) -> None:
    first = client.post("/events?source=late", json={"id": 1, "type": "x"})
    late = Source("late", SourceKind.WEBHOOK)
    door.snapshot = replace(door.snapshot, commit="c1", sources={**door.snapshot.sources, "late": late})
    second = client.post("/events?source=late", json={"id": 1, "type": "x"})

    assert (first.status_code, second.status_code) == (401, 202)
    assert door.entries()[0].commit == "c1"


def test_the_daemon_says_that_it_lives_and_whether_it_is_ready(door, client: httpx.Client) -> None:
    alive, ready = client.get("/healthz"), client.get("/readyz")
    door.checks["engine"] = "starting"
    not_ready = client.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "checks": {"store": "ok"}})
    assert (not_ready.status_code, not_ready.json()) == (
        503,
        {"ready": False, "checks": {"store": "ok", "engine": "starting"}},
    )
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405


def test_a_check_that_fails_is_an_answer_and_keeps_the_line(door, client: httpx.Client) -> None:
    door.checks = None
    broken = client.get("/readyz")
    door.checks = {"store": "ok"}

    assert broken.status_code == 500
    assert "connection" not in broken.headers
    refused(broken)
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/events"])
def test_no_answer_says_what_serves_it(client: httpx.Client, path: str) -> None:
    response = client.get(path)

    assert "server" not in response.headers
    assert "uvicorn" not in response.text
    assert "starlette" not in response.text.lower()


def test_refusals_are_counted_by_declared_sources_only(door, client: httpx.Client) -> None:
    for number in range(5):
        client.post(f"/events?source=made-up-{number}", json={"type": "x"})
    client.post("/events?source=token", json={"type": "x"})
    client.post("/events?source=open", content=b"{", headers=JSON)
    client.post("/events", json={})

    assert dict(door.app.complaints.counts) == {
        ("", "401"): 5,
        ("token", "401"): 1,
        ("open", "400"): 1,
        ("", "400"): 1,
    }


def test_a_service_that_the_estate_lacks_is_counted_and_the_event_kept(door, client: httpx.Client) -> None:
    ghost = replace(
        door.snapshot.sources["mapped"],
        map=(*door.snapshot.sources["mapped"].map, Mapped("service", ("svc",))),
    )
    door.snapshot = replace(door.snapshot, sources={**door.snapshot.sources, "mapped": ghost})
    response = client.post("/in/generic/mapped", json={"evt": {"id": "e", "amount": 1}, "svc": "ghost\n"})

    assert response.status_code == 202
    assert event_of(door.entries()[0]).service is None
    assert door.app.complaints.counts["mapped", "unknown-name"] == 1


def test_a_client_that_leaves_while_it_waits_is_no_matter(
    door, until: Callable[[Callable[[], bool]], bool]
) -> None:
    with door.held_disk() as let_go:
        with door.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/events?source=open", json={"id": 1, "type": "x"}, timeout=0.2)
        let_go()
        assert until(lambda: len(door.entries()) == 1)
    with door.client() as client:
        assert client.post("/events?source=open", json={"id": 1, "type": "x"}).json()["duplicates"] == 1
    assert threading.active_count() < 50


def test_a_source_that_is_ahead_of_the_decisions_is_told_to_send_slower(
    open_door, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (entrance, writer):
        monkeypatch.setattr(module, "PATIENCE", 0.05)
    door = open_door(pace=Pace())
    batches = [[{"id": f"{batch}.{number}", "type": "x"} for number in range(500)] for batch in range(20)]
    with ThreadPoolExecutor(20) as pool, door.client(limits=httpx.Limits(max_connections=40)) as client:
        sent = [pool.submit(client.post, "/events?source=open", json=batch) for batch in batches]
        alive = client.get("/healthz").status_code
        answers = [future.result(DEADLINE) for future in sent]
        other = client.post("/in/generic/mapped", json={"evt": {"id": 1, "amount": 2}})
    late = [response for response in answers if response.status_code == 429]
    stored = len(door.entries())
    door.journal.decided(stored)
    with door.client() as client:
        again = client.post("/events?source=open", json=batches[-1])

    assert {response.status_code for response in answers} == {202, 429}
    assert {response.headers["retry-after"] for response in late} == {"1"}
    assert (alive, other.status_code, again.status_code) == (200, 202, 202)
    assert door.journal.refused() == {"open": 500 * len(late)}
    assert stored == 500 * (20 - len(late)) + 1
