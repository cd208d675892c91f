from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError
from holdfast.rehearsal.sshd import start_sshd


def test_it_listens_on_loopback_with_keys_of_its_own_and_ends_with_its_sessions(tmp_path: Path) -> None:
    with (
        start_sshd(tmp_path) as sshd,
        socket.create_connection((sshd.host, sshd.port), timeout=5) as client,
    ):
        assert client.recv(4) == b"SSH-"
        assert sshd.host == "127.0.0.1"
        assert sshd.host_key_line.startswith("ssh-ed25519 AAAA")
        assert sshd.client_key_path.stat().st_mode & 0o077 == 0
        sessions = sshd.sessions()
        assert sessions
        assert "listening" in sshd.log()

    assert not any(Path(f"/proc/{pid}").exists() for pid in (sshd.pid, *sessions))


def test_it_comes_back_on_the_same_port_with_the_same_keys(tmp_path: Path) -> None:
    with start_sshd(tmp_path) as first:
        pass
    with start_sshd(tmp_path, port=first.port) as second:
        assert (second.port, second.host_key_line) == (first.port, first.host_key_line)


def test_a_configuration_that_sshd_does_not_take_is_said(tmp_path: Path) -> None:
    with pytest.raises(HoldfastError, match="NoSuchOption"), start_sshd(tmp_path, extra=["NoSuchOption yes"]):
        pass


def test_a_port_that_somebody_has_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(HoldfastError, match="does not start"),
            start_sshd(tmp_path, port=taken.getsockname()[1]),
        ):
            pass


def test_without_sshd_the_package_to_install_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.rehearsal.sshd.shutil.which", lambda *_, **__: None)

    with pytest.raises(HoldfastError, match="openssh-server"), start_sshd(tmp_path):
        pass


def test_a_login_takes_a_key_and_nothing_else(tmp_path: Path) -> None:
    with start_sshd(tmp_path) as sshd:
        config = (tmp_path / "sshd_config").read_text()

    assert "PasswordAuthentication no" in config
    assert "UsePAM no" in config
    assert sshd.user == os.environ.get("USER", sshd.user)
