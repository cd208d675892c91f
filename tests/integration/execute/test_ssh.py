"""The SSH connector against a real sshd, in good and in bad weather."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from holdfast.errors import ConfigError, ConnectorError
from holdfast.execute.dial import Limits
from holdfast.execute.ssh import SshConnector
from holdfast.model.actions import Host
from holdfast.model.records import AttemptOrder, OutcomeKind
from holdfast.rehearsal.sshd import Sshd, start_sshd

Order = Callable[..., AttemptOrder]
Until = Callable[..., None]
Connect = Callable[..., SshConnector]

#: Says that it started, waits for the file GO, says that it is done, and leaves one line per run.
PATIENT = 'echo x >>"$0/count"; until [ -e "$0/go" ]; do sleep 0.02; done; echo done'


@pytest.fixture
def patient(order: Order, tmp_path: Path) -> AttemptOrder:
    return order("sh", "-c", PATIENT, str(tmp_path))


def count(tmp_path: Path) -> int:
    path = tmp_path / "count"
    return len(path.read_text().splitlines()) if path.exists() else 0


def serving(sshd: Sshd) -> list[int]:
    """The processes of sshd that serve a connection, without what they started."""
    found = []
    for pid in sshd.sessions():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                found.append(pid)
    return found


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_an_attempt_runs_and_tells_how_it_ended(ssh: SshConnector, order: Order) -> None:
    boot = ssh.boot("web1")
    ending = ssh.run(order("sh", "-c", "echo out; echo err >&2; exit 3"), boot)

    assert (ending.kind, ending.exit_code, ending.output) == (OutcomeKind.ENDED, 3, "out\nerr\n")
    assert len(ending.digest) == 64
    assert ending.started_ago is not None
    assert ending.ended_ago is not None
    assert ending.started_ago >= ending.ended_ago >= 0


def test_a_boot_names_the_boot_and_the_memory_of_the_host(ssh: SshConnector, state: Path) -> None:
    assert ssh.boot("web1") == f"boot-1/{(state / 'id').read_text().strip()}"


def test_hostile_words_arrive_byte_for_byte(ssh: SshConnector, order: Order, tmp_path: Path) -> None:
    words = [
        "$(touch CANARY)",
        "`id`",
        "a'b\"c",
        "a\nb\n",
        "",
        "--",
        "-rf /",
        "ü😀",
        "*",
        "\\",
        "'; touch CANARY; '",
    ]
    out = tmp_path / "words"
    ending = ssh.run(
        order("sh", "-c", 'out=$1; shift; printf "%s\\0" "$@" >"$out"', "x", str(out), *words),
        ssh.boot("web1"),
    )

    assert ending.exit_code == 0
    assert out.read_bytes().split(b"\0")[:-1] == [word.encode() for word in words]
    assert not list(tmp_path.rglob("CANARY"))


def test_one_connection_and_one_channel_serve_each_attempt(
    ssh: SshConnector, order: Order, sshd: Sshd
) -> None:
    boot = ssh.boot("web1")
    before = sshd.log().count("Starting session: command")
    for number in range(5):
        assert ssh.run(order("true", attempt=f"r1/0/{number}"), boot).exit_code == 0

    assert sshd.log().count("Accepted publickey") == 1
    assert sshd.log().count("Starting session: command") - before == 5


def test_the_same_attempt_runs_once_also_over_two_connections(
    connect: Connect, web1: Host, order: Order, tmp_path: Path
) -> None:
    connectors = [connect(web1), connect(web1)]
    attempt = order("sh", "-c", 'echo x >>"$0/count"; sleep 0.2', str(tmp_path))
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(one.run, attempt, one.boot("web1")) for one in connectors * 3]
        kinds = {job.result(60).kind for job in jobs}

    assert count(tmp_path) == 1
    assert kinds <= {OutcomeKind.ENDED, OutcomeKind.UNKNOWN}
    assert connectors[0].run(attempt, connectors[0].boot("web1")).kind is OutcomeKind.ENDED


def test_a_command_survives_the_death_of_its_transport_and_leaves_a_receipt(
    ssh: SshConnector, sshd: Sshd, patient: AttemptOrder, tmp_path: Path, until: Until
) -> None:
    boot = ssh.boot("web1")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ssh.run, patient, boot)
        until(lambda: count(tmp_path) == 1, "the start")
        for pid in serving(sshd):
            os.kill(pid, signal.SIGKILL)
        lost = running.result(30)
    during = ssh.status(patient, boot)
    (tmp_path / "go").touch()
    until(lambda: ssh.status(patient, boot) is not None, "the end")
    after = ssh.status(patient, boot)

    assert lost.kind is OutcomeKind.UNKNOWN
    assert during is None
    assert after is not None
    assert (after.kind, after.exit_code, after.output) == (OutcomeKind.ENDED, 0, "done\n")
    assert count(tmp_path) == 1


def test_a_command_survives_a_connection_that_we_close(
    connect: Connect, web1: Host, patient: AttemptOrder, tmp_path: Path, until: Until
) -> None:
    first, second = connect(web1), connect(web1)
    boot = first.boot("web1")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first.run, patient, boot)
        until(lambda: count(tmp_path) == 1, "the start")
        first.close()
        lost = running.result(30)
    (tmp_path / "go").touch()
    until(lambda: second.status(patient, boot) is not None, "the end")
    after = second.status(patient, boot)

    assert lost.kind is OutcomeKind.UNKNOWN
    assert after is not None
    assert after.output == "done\n"
    with pytest.raises(ConnectorError):
        first.boot("web1")


def test_the_deadline_kills_on_the_host_grandchildren_too(
    ssh: SshConnector, order: Order, tmp_path: Path, until: Until
) -> None:
    pids = tmp_path / "pids"
    script = (
        'echo $$ >"$0"; sh -c \'trap "" TERM; echo $$ >>"$0"; while :; do sleep 0.1; done\' "$0" & sleep 300'
    )
    ending = ssh.run(order("sh", "-c", script, str(pids), deadline=1000), ssh.boot("web1"))

    assert ending.kind is OutcomeKind.KILLED
    assert len(pids.read_text().split()) == 2
    until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split()),
        "the end of the group",
    )


def test_a_flood_of_output_is_bounded(ssh: SshConnector, order: Order) -> None:
    ending = ssh.run(order("sh", "-c", "echo first; yes x | head -c 20000000; echo last"), ssh.boot("web1"))

    assert ending.exit_code == 0
    assert ending.output.startswith("first\n")
    assert ending.output.endswith("last\n")
    assert "left out" in ending.output
    assert len(ending.output) < 64 * 1024


def test_skip_if_is_asked_first(ssh: SshConnector, order: Order, tmp_path: Path) -> None:
    ending = ssh.run(order("touch", str(tmp_path / "x"), skip_if=("true",)), ssh.boot("web1"))

    assert ending.kind is OutcomeKind.SKIPPED
    assert not (tmp_path / "x").exists()


# -- who it talks to ----------------------------------------------------------------------------------


@pytest.fixture
def other_key(tmp_path: Path) -> str:
    """A host key that is not the host's."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    return " ".join((tmp_path / "other.pub").read_text().split()[:2])


def test_a_changed_host_key_is_refused_with_the_line_to_put_into_the_estate(
    connect: Connect, web1: Host, sshd: Sshd, other_key: str
) -> None:
    with pytest.raises(ConnectorError) as caught:
        connect(dataclasses.replace(web1, host_key=other_key)).boot("web1")

    assert "another host key" in str(caught.value)
    assert f'host_key: "{sshd.host_key_line}"' in str(caught.value)
    assert "Accepted publickey" not in sshd.log()


def test_an_unknown_host_key_is_refused_with_the_line_to_put_into_the_estate(
    connect: Connect, web1: Host, sshd: Sshd
) -> None:
    with pytest.raises(ConnectorError) as caught:
        connect(dataclasses.replace(web1, host_key="")).boot("web1")

    assert "no host key in the estate" in str(caught.value)
    assert f'host_key: "{sshd.host_key_line}"' in str(caught.value)
    assert "Accepted publickey" not in sshd.log()


@pytest.mark.parametrize("line", ["ssh-ed25519", "ssh-ed25519 !!!", "ssh-nothing AAAA", "ssh-ed25519 AAAA"])
def test_a_host_key_that_is_none_is_said(connect: Connect, web1: Host, line: str) -> None:
    with pytest.raises(ConnectorError, match="host_key of web1"):
        connect(dataclasses.replace(web1, host_key=line)).boot("web1")


def test_the_pinned_type_of_key_is_asked_for_where_the_host_has_several(
    connect: Connect, tmp_path: Path, boot_file: Path
) -> None:
    directory = tmp_path / "two"
    directory.mkdir()
    for kind in ("rsa", "ecdsa"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(directory / kind)], check=True)
    extra = [f"HostKey {directory}/{kind}" for kind in ("rsa", "ecdsa")]
    with start_sshd(directory, extra=extra) as server:
        for kind in ("rsa", "ecdsa"):
            line = " ".join((directory / f"{kind}.pub").read_text().split()[:2])
            host = Host("web1", server.host, server.user, line, server.port)

            assert connect(host, pem=server.client_key_path.read_text()).boot("web1")


def test_a_key_that_the_host_does_not_take_is_said(
    connect: Connect, web1: Host, other_key: str, tmp_path: Path
) -> None:
    with pytest.raises(ConnectorError, match="authorized_keys"):
        connect(web1, pem=(tmp_path / "other").read_text()).boot("web1")


@pytest.mark.parametrize(
    "pem", ["", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"]
)
def test_a_text_that_is_no_key_is_said_and_not_shown(connect: Connect, web1: Host, pem: str) -> None:
    with pytest.raises(ConnectorError) as caught:
        connect(web1, pem=pem).boot("web1")

    assert "$secret.ssh-key is not a private key" in str(caught.value)
    assert "AAAA" not in str(caught.value)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_client_keys_are_taken(
    connect: Connect, web1: Host, sshd: Sshd, tmp_path: Path, kind: str
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / kind)], check=True)
    with (sshd.directory / "authorized_keys").open("a") as file:
        file.write((tmp_path / f"{kind}.pub").read_text())

    assert connect(web1, pem=(tmp_path / kind).read_text()).boot("web1")


def test_a_missing_secret_is_said(web1: Host) -> None:
    def missing(_: object) -> str:
        raise ConfigError([])

    connector = SshConnector(lambda: {"web1": web1}, missing)
    with pytest.raises(ConnectorError, match="cannot be read"):
        connector.boot("web1")
    connector.close()


def test_nothing_is_read_from_the_users_own_files(
    connect: Connect, web1: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    evil = (
        "Host *\n HostName 203.0.113.1\n Port 1\n User nobody\n ProxyCommand false\n IdentityFile /nowhere\n"
    )
    (tmp_path / ".ssh" / "config").write_text(evil)
    for name in (".fabric.yaml", ".invoke.yaml"):
        (tmp_path / name).write_text(
            "user: nobody\nport: 1\nconnect_kwargs: {password: x, look_for_keys: true}\n"
        )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FABRIC_PORT", "1")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))

    assert connect(web1).boot("web1")


def test_a_host_that_is_not_in_the_estate_is_said(ssh: SshConnector) -> None:
    with pytest.raises(ConnectorError, match="not a host of the estate"):
        ssh.boot("web9")


def test_a_host_that_is_down_is_said(connect: Connect, web1: Host) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectorError, match="cannot be reached"):
            connect(dataclasses.replace(web1, port=unused.getsockname()[1])).boot("web1")


def test_something_that_is_no_sshd_is_said(connect: Connect, web1: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(ConnectorError, match="does not speak SSH"):
            connect(dataclasses.replace(web1, port=server.getsockname()[1]), limits=Limits(connect=2)).boot(
                "web1"
            )
        thread.join()


def test_a_listener_that_says_nothing_frees_the_thread(connect: Connect, web1: Host) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(ConnectorError, match="does not speak SSH"),
    ):
        connect(dataclasses.replace(web1, port=server.getsockname()[1]), limits=Limits(connect=0.5)).boot(
            "web1"
        )


def test_a_host_whose_address_changed_gets_a_new_connection(
    sshd: Sshd, web1: Host, state: Path, order: Order
) -> None:
    estate = {"web1": web1}
    connector = SshConnector(lambda: estate, lambda _: sshd.client_key_path.read_text(), state=str(state))
    boot = connector.boot("web1")
    estate["web1"] = dataclasses.replace(web1, address="localhost")

    assert connector.run(order("true"), boot).exit_code == 0
    assert sshd.log().count("Accepted publickey") == 2
    estate.clear()
    with pytest.raises(ConnectorError, match="not a host of the estate"):
        connector.status(order("true"), boot)
    connector.close()


def test_a_login_shell_that_is_none_is_said(connect: Connect, web1: Host, sshd: Sshd) -> None:
    key = (sshd.directory / "authorized_keys").read_text()
    (sshd.directory / "authorized_keys").write_text('command="echo This account is not available." ' + key)

    with pytest.raises(ConnectorError, match="POSIX"):
        connect(web1).boot("web1")


def test_a_talkative_login_shell_does_no_harm(
    connect: Connect, web1: Host, sshd: Sshd, order: Order, tmp_path: Path
) -> None:
    key = (sshd.directory / "authorized_keys").read_text()
    talk = 'echo Welcome; echo holdfast 0; echo state=none; echo; eval \\"$SSH_ORIGINAL_COMMAND\\"'
    (sshd.directory / "authorized_keys").write_text(f'command="{talk}" {key}')
    connector = connect(web1)

    assert connector.run(order("echo", "it's $HOME"), connector.boot("web1")).output == "it's $HOME\n"


def test_a_relative_state_directory_lies_below_the_home_directory(
    connect: Connect, web1: Host, order: Order, tmp_path: Path
) -> None:
    connector = connect(web1, state=".local/state/holdfast")
    connector.run(order("true"), connector.boot("web1"))

    assert (tmp_path / ".local/state/holdfast/attempts/r1.0.1@receipt").exists()


# -- bad weather --------------------------------------------------------------------------------------


def test_an_idle_connection_that_died_is_replaced(ssh: SshConnector, sshd: Sshd, order: Order) -> None:
    boot = ssh.boot("web1")
    for pid in serving(sshd):
        os.kill(pid, signal.SIGKILL)

    assert ssh.run(order("true"), boot).exit_code == 0


def test_an_idle_connection_that_froze_is_replaced(
    connect: Connect, web1: Host, sshd: Sshd, order: Order
) -> None:
    connector = connect(web1, limits=Limits(connect=2.0))
    boot = connector.boot("web1")
    with frozen(serving(sshd)):
        assert connector.run(order("true"), boot).exit_code == 0


def test_a_frozen_host_frees_the_thread_and_nothing_was_started(
    connect: Connect, web1: Host, sshd: Sshd, order: Order, tmp_path: Path
) -> None:
    connector = connect(web1, limits=Limits(connect=0.5))
    boot = connector.boot("web1")
    with frozen([sshd.pid, *serving(sshd)]), pytest.raises(ConnectorError):
        connector.run(order("touch", str(tmp_path / "canary")), boot)

    assert not (tmp_path / "canary").exists()


def test_a_host_that_freezes_in_the_middle_frees_the_thread_and_the_receipt_tells_later(
    connect: Connect, web1: Host, sshd: Sshd, order: Order, tmp_path: Path, until: Until
) -> None:
    connector = connect(web1, limits=Limits(grace=0.5))
    boot = connector.boot("web1")
    attempt = order("sh", "-c", 'echo x >>"$0/count"; sleep 0.5; echo done', str(tmp_path), deadline=1000)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(connector.run, attempt, boot)
        until(lambda: count(tmp_path) == 1, "the start")
        with frozen(serving(sshd)):
            lost = running.result(30)
    after = connector.status(attempt, boot)

    assert lost.kind is OutcomeKind.UNKNOWN
    assert after is not None
    assert (after.kind, after.output) == (OutcomeKind.ENDED, "done\n")


class FreezesBeforeExec(SshConnector):
    """The host freezes between the opening of the channel and the request to run."""

    sshd: Sshd
    armed = False

    def _session(self, connection: object) -> paramiko.Channel:
        channel = super()._session(connection)
        if self.armed:
            self.armed = False
            for pid in serving(self.sshd):
                os.kill(pid, signal.SIGSTOP)
        return channel


def test_a_request_that_arrives_after_we_asked_is_not_carried_out(
    web1: Host, sshd: Sshd, order: Order, state: Path, tmp_path: Path, until: Until
) -> None:
    connector = FreezesBeforeExec(
        lambda: {"web1": web1},
        lambda _: sshd.client_key_path.read_text(),
        state=str(state),
        limits=Limits(grace=0.2),
    )
    connector.sshd = sshd
    boot = connector.boot("web1")
    attempt = order("touch", str(tmp_path / "canary"), deadline=1000)
    stuck = serving(sshd)
    connector.armed = True
    begun = time.monotonic()
    lost = connector.run(attempt, boot)  # paramiko alone would wait here for ever
    freed_after = time.monotonic() - begun
    verdict = connector.status(attempt, boot)
    sessions = sshd.log().count("Starting session: command")
    for pid in stuck:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in stuck), "the end of the old connection")
    late = sshd.log().count("Starting session: command") - sessions
    connector.close()

    assert lost.kind is OutcomeKind.UNKNOWN
    assert freed_after < 20
    assert verdict is not None
    assert verdict.kind is OutcomeKind.NOT_STARTED
    assert late == 1  # it did arrive
    assert not (tmp_path / "canary").exists()


def test_a_reboot_between_intent_and_start_starts_nothing(
    ssh: SshConnector, sshd: Sshd, order: Order, boot_file: Path, tmp_path: Path
) -> None:
    boot = ssh.boot("web1")
    boot_file.write_text("boot-2\n")
    for pid in serving(sshd):  # no connection survives a reboot
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(ConnectorError, match="rebooted"):
        ssh.run(order("touch", str(tmp_path / "canary")), boot)
    assert not (tmp_path / "canary").exists()


def test_a_reboot_without_a_receipt_is_unknown(
    connect: Connect, web1: Host, order: Order, boot_file: Path
) -> None:
    boot = connect(web1).boot("web1")
    boot_file.write_text("boot-2\n")
    ending = connect(web1).status(order("true"), boot)

    assert ending is not None
    assert ending.kind is OutcomeKind.UNKNOWN
    assert "rebooted" in ending.detail


def test_a_reboot_after_the_receipt_loses_nothing(
    connect: Connect, web1: Host, order: Order, boot_file: Path
) -> None:
    first = connect(web1)
    boot = first.boot("web1")
    first.run(order("echo", "done"), boot)
    boot_file.write_text("boot-2\n")
    ending = connect(web1).status(order("echo", "done"), boot)

    assert ending is not None
    assert (ending.kind, ending.output, ending.started_ago) == (OutcomeKind.ENDED, "done\n", None)


def test_what_was_never_sent_was_not_started(ssh: SshConnector, order: Order, tmp_path: Path) -> None:
    boot = ssh.boot("web1")
    attempt = order("touch", str(tmp_path / "canary"))
    ending = ssh.status(attempt, boot)

    assert ending is not None
    assert ending.kind is OutcomeKind.NOT_STARTED
    assert ssh.run(attempt, boot).kind is OutcomeKind.NOT_STARTED
    assert not (tmp_path / "canary").exists()


def test_a_lost_state_directory_is_unknown_also_when_it_was_made_again(
    connect: Connect, web1: Host, order: Order, state: Path
) -> None:
    connector = connect(web1)
    boot = connector.boot("web1")
    connector.run(order("true"), boot)
    state.rename(state.with_name("lost"))  # at once, whatever still writes there
    lost = connector.status(order("true"), boot)
    again = connect(web1)
    again.boot("web1")
    made_again = again.status(order("true"), boot)

    assert lost is not None
    assert made_again is not None
    assert {lost.kind, made_again.kind} == {OutcomeKind.UNKNOWN}
    assert "state directory" in lost.detail
    assert "state directory" in made_again.detail


def test_a_lost_state_directory_starts_nothing_and_the_next_boot_makes_it_again(
    ssh: SshConnector, order: Order, state: Path, tmp_path: Path
) -> None:
    boot = ssh.boot("web1")
    state.rename(state.with_name("lost"))  # at once, whatever still writes there
    with pytest.raises(ConnectorError, match="nothing was started"):
        ssh.run(order("touch", str(tmp_path / "canary")), boot)

    assert not (tmp_path / "canary").exists()
    new = ssh.boot("web1")
    assert new != boot
    assert ssh.run(order("true", attempt="r1/0/2"), new).exit_code == 0


def test_where_nothing_can_be_written_only_the_idempotent_runs(
    connect: Connect, web1: Host, order: Order, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    connector = connect(web1, state=str(tmp_path / "file" / "state"))
    with pytest.raises(ConnectorError, match="nothing was started"):
        connector.run(order("sh", "-c", 'echo x >>"$0/count"', str(tmp_path)), connector.boot("web1"))
    assert count(tmp_path) == 0
    ending = connector.run(
        order("sh", "-c", 'echo x >>"$0/count"; echo ran', str(tmp_path), idempotent=True),
        connector.boot("web1"),
    )

    assert count(tmp_path) == 1
    assert (ending.kind, ending.output) == (OutcomeKind.ENDED, "ran\n")


def test_a_command_that_cannot_be_sent_starts_nothing(ssh: SshConnector, order: Order) -> None:
    boot = ssh.boot("web1")

    with pytest.raises(ConnectorError, match="nothing was started"):
        ssh.run(order("echo", "a\0b"), boot)
    with pytest.raises(ConnectorError, match="nothing was started"):
        ssh.run(order("echo", "x" * 200_000), boot)


def test_closing_while_connecting_leaves_nothing_open(
    connect: Connect, web1: Host, sshd: Sshd, until: Until
) -> None:
    connector = connect(web1)
    with frozen([sshd.pid]), ThreadPoolExecutor(1) as pool:
        dialling = pool.submit(connector.boot, "web1")
        until(lambda: any(t.name == "execute-watchdog" for t in threading.enumerate()) or True)
        connector.close()
        os.kill(sshd.pid, signal.SIGCONT)
        with pytest.raises(ConnectorError):
            dialling.result(30)

    until(lambda: not serving(sshd), "the end of the connection")
