"""The courier process against real SMTP and HTTP servers, and against its own death."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.records import DeliveryState
from holdfast.model.values import Severity
from holdfast.notify.courier import Courier
from holdfast.notify.wire import LINE_MAX, Order
from holdfast.rehearsal.mail import MailServers

SENT, FAILED, UNCONFIRMED = DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.UNCONFIRMED


def order(url: str, name: str = "m1", timeout: int = 20_000) -> Order:
    return Order(name, url, "title", "body", timeout=timeout)


def alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


def test_a_mail_arrives_with_the_reply_address_and_the_marks_of_automatic_mail(
    mail: MailServers, courier: Courier
) -> None:
    sent = courier.send(
        Order(
            "m1",
            mail.smtp_url("holdfast", "founder@lab.test"),
            "shop is down: Überprüfung",
            "Line one\n\nLine two: 1 < 2 & \u201cso\u201d\n",
            "holdfast+g1@lab.test",
            {"References": "<i1@incident.holdfast>"},
            Severity.CRITICAL,
        )
    )
    (arrived,) = mail.wait_for("founder", 1)

    assert (sent.message, sent.state, sent.detail) == ("m1", SENT, "")
    assert arrived["Subject"] == "shop is down: Überprüfung"
    assert arrived["Reply-To"] == "holdfast+g1@lab.test"
    assert arrived["Auto-Submitted"] == "auto-generated"
    assert arrived["X-Holdfast"] == "1"
    assert arrived["References"] == "<i1@incident.holdfast>"
    assert "dmarc=pass header.from=lab.test" in arrived["Authentication-Results"]
    assert arrived.get_content_type() == "text/plain"
    assert arrived.get_content().splitlines() == ["Line one", "", "Line two: 1 < 2 & \u201cso\u201d"]


HOSTILE = [
    "shop\r\nBcc: thief@evil.test",
    "shop\nReply-To: thief@evil.test\n\nbody",
    "shop\r\n\r\n<b>forged body</b>",
    "shop\x0bX-Evil: 1\x0cX-Evil: 2\x85X-Evil: 3\u2028X-Evil: 4",
    "=?utf-8?q?shop=0D=0AX-Evil:_1?=",
    "\r\n.\r\nQUIT\r\n",
    "x" * 5000,
    "",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_title_cannot_add_a_header_or_a_recipient(
    mail: MailServers, courier: Courier, title: str
) -> None:
    url = mail.smtp_url("holdfast", "founder@lab.test")

    sent = courier.send(Order("m1", url, title, "honest body", "holdfast+g1@lab.test"))
    (arrived,) = mail.wait_for("founder", 1)

    assert sent.state is SENT
    assert arrived.get_content().strip() == "honest body"
    assert arrived.get_all("Reply-To") == ["holdfast+g1@lab.test"]
    assert arrived.get_all("To") == ["founder@lab.test"]
    assert not [name for name in arrived if name.lower() in ("bcc", "cc", "x-evil")]
    assert len(arrived.get_all("Subject", [""])) == 1


@pytest.mark.parametrize(
    "body", ["\r\n.\r\nMAIL FROM:<x@y>\r\n", ".\n..\n.", "From forged\n\nFrom here", "\x00\x1b[2J|"]
)
def test_a_hostile_body_stays_a_body(mail: MailServers, courier: Courier, body: str) -> None:
    url = mail.smtp_url("holdfast", "founder@lab.test")

    sent = courier.send(Order("m1", url, "t", f"begin\n{body}\nend", None))
    (arrived,) = mail.wait_for("founder", 1)

    assert sent.state is SENT
    assert arrived.get_content().splitlines()[0] == "begin"
    assert arrived.get_content().splitlines()[-1] == "end"


def test_a_wrong_password_is_a_failure_that_says_what_to_check(mail: MailServers, courier: Courier) -> None:
    url = mail.smtp_url("holdfast", "founder@lab.test").replace("bot-password", "wr0ng-c4nary")

    sent = courier.send(order(url))

    assert sent.state is FAILED
    assert "535" in sent.detail
    assert "user, password or token" in sent.detail
    assert "c4nary" not in sent.detail


def test_nobody_there_is_a_failure(courier: Courier, closed: int) -> None:
    to_mail = courier.send(order(f"mailto://u:p@127.0.0.1:{closed}/?from=a@b.test&to=c@d.test&mode=insecure"))
    to_web = courier.send(order(f"json://127.0.0.1:{closed}/t0ken"))

    assert [to_mail.state, to_web.state] == [FAILED, FAILED]
    assert "nothing was sent" in to_mail.detail
    assert "nothing was sent" in to_web.detail


def test_a_refusal_is_a_failure_with_its_code(web: Any, courier: Courier) -> None:
    web.codes = [503]

    sent = courier.send(order(f"json://127.0.0.1:{web.port}/t0ken"))

    assert (sent.state, sent.detail) == (FAILED, "the service refused the message with code 503")


def test_a_service_that_takes_the_message_and_hangs_up_leaves_it_unconfirmed(
    web: Any, courier: Courier
) -> None:
    web.codes = [0]

    sent = courier.send(order(f"json://127.0.0.1:{web.port}/t0ken"))

    assert sent.state is UNCONFIRMED
    assert len(web.bodies) == 1


def test_a_service_that_takes_the_message_and_never_answers_leaves_it_unconfirmed(
    courier: Courier, hung: int
) -> None:
    sent = courier.send(order(f"json://127.0.0.1:{hung}/t0ken?rto=0.5"))

    assert sent.state is UNCONFIRMED
    assert "t0ken" not in sent.detail


def test_an_smtp_server_that_dies_after_the_data_leaves_it_unconfirmed(courier: Courier) -> None:
    """It says yes to everything and closes the connection when the mail is complete."""

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 hello\r\n")
            for line in lines:
                if line == b".\r\n":
                    return
                if line.upper().startswith(b"EHLO"):
                    connection.sendall(b"250 hello\r\n")
                elif line.upper().startswith((b"MAIL", b"RCPT")):
                    connection.sendall(b"250 ok\r\n")
                elif line.upper().startswith(b"DATA"):
                    connection.sendall(b"354 go\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        port = server.getsockname()[1]
        sent = courier.send(order(f"mailto://127.0.0.1:{port}/?from=a@b.test&to=c@d.test&mode=insecure"))
        thread.join(10)

    assert sent.state is UNCONFIRMED
    assert "may have arrived" in sent.detail


def test_a_formatted_message_that_is_refused_is_sent_again_as_plain_text(web: Any, courier: Courier) -> None:
    web.codes = [400]

    sent = courier.send(
        Order("m1", f"json://127.0.0.1:{web.port}/?format=html", "t", "1 < 2\nnext", timeout=20_000)
    )

    assert sent.state is SENT
    assert "plain text" in sent.detail
    assert "400" in sent.detail
    assert [str(body["message"]).rstrip() for body in web.bodies] == [
        "1&nbsp;&lt;&nbsp;2<br/>next",
        "1 < 2\nnext",
    ]


def test_a_refused_plain_message_is_not_sent_again(web: Any, courier: Courier) -> None:
    web.codes = [400]

    sent = courier.send(order(f"json://127.0.0.1:{web.port}/"))

    assert (sent.state, len(web.bodies)) == (FAILED, 1)


def test_a_retry_in_the_url_does_not_repeat_a_message(web: Any, courier: Courier) -> None:
    web.codes = [0, 0, 0]

    sent = courier.send(order(f"json://127.0.0.1:{web.port}/?retry=2&wait=0.1"))

    assert (sent.state, len(web.bodies)) == (UNCONFIRMED, 1)


def test_many_hung_targets_delay_no_healthy_one(web: Any, courier: Courier, hung: int) -> None:
    courier.send(order(f"json://127.0.0.1:{web.port}/", "warm-up"))
    with ThreadPoolExecutor(16) as pool:
        slow = [
            pool.submit(courier.send, order(f"json://127.0.0.1:{hung}/?rto=60", f"slow{number}", 3_000))
            for number in range(7)
        ]
        quick = [
            pool.submit(courier.send, order(f"json://127.0.0.1:{web.port}/", f"quick{number}"))
            for number in range(5)
        ]
        quick_states = [one.result(20).state for one in quick]
        slow_were_out = not any(one.done() for one in slow)
        slow_states = [one.result(20).state for one in slow]

    assert quick_states == [SENT] * 5
    assert slow_were_out
    assert slow_states == [UNCONFIRMED] * 7


def test_a_process_full_of_stuck_sends_is_replaced(
    web: Any, courier: Courier, hung: int, until: Callable[..., None]
) -> None:
    courier.send(order(f"json://127.0.0.1:{web.port}/"))
    first = courier.pid
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                courier.send, [order(f"json://127.0.0.1:{hung}/?rto=60", f"s{n}", 200) for n in range(8)]
            )
        )

    sent = courier.send(order(f"json://127.0.0.1:{web.port}/"))

    assert sent.state is SENT
    assert courier.pid != first
    until(lambda: not alive(first))


def test_a_process_killed_while_sending_leaves_the_message_unconfirmed_and_is_started_again(
    web: Any, courier: Courier, hung: int, until: Callable[..., None]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(courier.send, order(f"json://127.0.0.1:{hung}/?rto=60"))
        first = accepted(hung, courier, until)
        os.kill(first, signal.SIGKILL)
        lost = sending.result(20)

    again = courier.send(order(f"json://127.0.0.1:{web.port}/"))

    assert lost.state is UNCONFIRMED
    assert "may have arrived" in lost.detail
    assert again.state is SENT
    assert courier.pid not in (None, first)


def test_a_frozen_process_is_killed_after_timeout_and_grace_and_replaced(
    web: Any, until: Callable[..., None]
) -> None:
    courier = Courier(grace=0.3)
    try:
        courier.send(order(f"json://127.0.0.1:{web.port}/"))
        first = courier.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        lost = courier.send(order(f"json://127.0.0.1:{web.port}/", timeout=300))
        again = courier.send(order(f"json://127.0.0.1:{web.port}/"))
        second = courier.pid
    finally:
        courier.stop(0.1)

    assert (lost.state, again.state) == (UNCONFIRMED, SENT)
    assert second != first
    assert not alive(first)


def test_a_frozen_process_cannot_block_the_one_who_writes_to_it(web: Any) -> None:
    """More than a pipe holds: the write itself hangs."""
    courier = Courier(grace=0.3)
    try:
        courier.send(order(f"json://127.0.0.1:{web.port}/"))
        first = courier.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        sent = courier.send(Order("m1", f"json://127.0.0.1:{web.port}/", "t", "x" * 200_000, timeout=1000))
    finally:
        courier.stop(0.1)

    assert sent.state is SENT, "it never left whole, so a fresh process may send it"
    assert [len(str(body["message"])) for body in web.bodies][-1] > 100_000


def test_an_idle_process_is_stopped_and_started_again_on_demand(web: Any, until: Callable[..., None]) -> None:
    courier = Courier(idle=0.2)
    try:
        courier.send(order(f"json://127.0.0.1:{web.port}/"))
        first = courier.pid
        until(lambda: courier.pid is None)
        until(lambda: not alive(first))
        again = courier.send(order(f"json://127.0.0.1:{web.port}/"))
    finally:
        courier.stop(0.1)

    assert again.state is SENT


def test_the_process_ends_when_the_daemon_is_killed(
    web: Any, tmp_path: Path, until: Callable[..., None]
) -> None:
    code = (
        "import sys\n"
        "from holdfast.notify.courier import Courier\n"
        "from holdfast.notify.wire import Order\n"
        "courier = Courier()\n"
        f"courier.send(Order('m1', 'json://127.0.0.1:{web.port}/', 't', 'b'))\n"
        "print(courier.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    daemon = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert daemon.stdout is not None
        child = int(daemon.stdout.readline())
        was_alive = alive(child)
        daemon.kill()
        daemon.wait(10)
        until(lambda: not alive(child))
    finally:
        daemon.kill()
        daemon.communicate()

    assert was_alive


def test_a_stop_gives_what_is_out_a_moment_and_then_ends_it(hung: int, until: Callable[..., None]) -> None:
    courier = Courier()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(courier.send, order(f"json://127.0.0.1:{hung}/?rto=60"))
        child = accepted(hung, courier, until)
        courier.stop(0.2)
        lost = sending.result(20)

    assert lost.state is UNCONFIRMED
    assert not alive(child)
    assert courier.send(order("json://127.0.0.1:1/")).state is FAILED


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        ((sys.executable, "-c", "raise SystemExit(1)"), "ends as soon as it is started"),
        (("/nonexistent/python",), "cannot be started"),
        ((sys.executable, "-c", "import sys; sys.stdin.read()"), "not ready within"),
        ((sys.executable, "-c", "print('nonsense', flush=True); input()"), "ends as soon as it is started"),
    ],
)
def test_a_process_that_cannot_work_is_a_failure_not_a_riddle(argv: tuple[str, ...], word: str) -> None:
    courier = Courier(argv, start=1.0)
    try:
        sent = courier.send(order("json://127.0.0.1:1/"))
    finally:
        courier.stop(0.1)

    assert sent.state is FAILED
    assert word in sent.detail


def test_a_message_that_is_too_long_for_a_line_is_a_failure(courier: Courier) -> None:
    sent = courier.send(Order("m1", "json://127.0.0.1:1/", "t", "x" * LINE_MAX))

    assert sent.state is FAILED
    assert courier.pid is None


def test_the_process_knows_nothing_of_the_daemons_environment(
    web: Any, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_SECRET_CANARY", "c4nary")

    courier.send(order(f"json://127.0.0.1:{web.port}/"))
    environment = Path(f"/proc/{courier.pid}/environ").read_bytes()

    assert b"c4nary" not in environment
    assert b"PATH=" in environment


def test_no_secret_stands_on_the_command_line(web: Any, courier: Courier) -> None:
    courier.send(order(f"json://127.0.0.1:{web.port}/s3cret-c4nary"))
    command = Path(f"/proc/{courier.pid}/cmdline").read_bytes()

    assert b"c4nary" not in command
    assert b"holdfast.notify.child" in command


def accepted(port: int, courier: Courier, until: Callable[..., None]) -> int:
    """The courier's process id once it is connected to the hung server at `port`."""
    wanted = f":{port:04X} "

    def connected() -> bool:
        rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
        return any(wanted in row.split(maxsplit=3)[2] + " " and row.split()[3] == "01" for row in rows)

    until(connected)
    assert courier.pid is not None
    return courier.pid
