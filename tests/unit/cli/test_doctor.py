from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli import doctor
from holdfast.cli.doctor import Finding, Level
from holdfast.cli.door import Place
from holdfast.errors import ConfigError, ConnectorError, DaemonUnreachable, HoldfastError, Problem, StoreError
from holdfast.model.actions import Host
from holdfast.model.snapshot import AuthScheme, Channel, MailReplies, Operator, Snapshot, Source, SourceKind
from holdfast.model.values import Secret

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILLdmGNZb1q1rDRYi2t1a1GGyTOlDpWqxF7u5tv2SKPe"
REPLIES = MailReplies("imap", 993, "u", Secret("imap"), "me@example.org")
ESTATE = Snapshot(
    "c0ffee",
    hosts={"web1": Host("web1", "10.0.0.5", "act", KEY), "web2": Host("web2", "10.0.0.6", "act", KEY)},
    sources={"hook": Source("hook", SourceKind.WEBHOOK, scheme=AuthScheme.BEARER, secret=Secret("hook"))},
    channels={"mail": Channel("mail", Secret("mail-url"), REPLIES)},
    operators={"ana": Operator("ana", ("mail",))},
)


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {finding.name: finding.level for finding in findings}


def refuse(error: HoldfastError) -> None:
    raise error


@pytest.mark.parametrize(
    ("mode", "level"), [(0o700, "good"), (0o750, "good"), (0o755, "bad"), (0o770, "bad"), (0o701, "bad")]
)
def test_a_state_directory_that_others_can_look_into_is_bad(tmp_path: Path, mode: int, level: str) -> None:
    tmp_path.chmod(mode)
    found = list(doctor.state_directory(Place(state=tmp_path)))

    assert (found[0].level, bool(found[0].fix)) == (level, level == "bad")


def test_a_state_directory_that_is_not_there_yet_is_only_a_note(tmp_path: Path) -> None:
    found = list(doctor.state_directory(Place(state=tmp_path / "none")))

    assert levels(found) == {"state": Level.NOTE}


def test_a_full_disk_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(doctor, "ROOM", 2**63)
    found = list(doctor.state_directory(Place(state=tmp_path)))

    assert levels(found) == {"state": Level.GOOD, "disk": Level.BAD}


def test_a_config_with_problems_is_bad_and_names_the_first() -> None:
    problems = [Problem("a.yaml", 3, 1, "", "first"), Problem("b.yaml", 1, 1, "", "second")]
    finding, snapshot = doctor.config(Place(config=Path("/c")), lambda: refuse(ConfigError(problems)))  # type: ignore[arg-type,return-value]

    assert (finding.level, finding.text) == (Level.BAD, "2 problems, the first: a.yaml:3:1: first")
    assert (finding.fix, snapshot) == ("holdfast check /c", None)


def test_a_valid_config_is_handed_on() -> None:
    finding, snapshot = doctor.config(Place(), lambda: ESTATE)

    assert (finding.level, snapshot) == (Level.GOOD, ESTATE)


def test_a_database_is_looked_into_only_when_it_is_there(tmp_path: Path) -> None:
    place = Place(state=tmp_path)
    before = doctor.database(place, lambda: refuse(StoreError("never asked")))  # type: ignore[arg-type,return-value]
    place.database.touch()

    assert before.level is Level.NOTE
    assert doctor.database(place, lambda: 3) == Finding("database", Level.GOOD, "3 journal entries")
    assert doctor.database(place, lambda: refuse(StoreError("damaged"))) == Finding(
        "database", Level.BAD, "damaged"
    )  # type: ignore[arg-type,return-value]


def test_a_daemon_that_does_not_answer_is_a_note_because_setting_up_comes_first() -> None:
    assert doctor.daemon(dict).level is Level.GOOD
    assert doctor.daemon(lambda: refuse(DaemonUnreachable("down"))) == Finding("daemon", Level.NOTE, "down")


def test_each_secret_is_looked_for_once_and_its_users_are_named() -> None:
    asked: list[str] = []

    def get(secret: Secret) -> str:
        asked.append(secret.name)
        if secret.name == "imap":
            raise HoldfastError("put it there")
        return "s3cret"

    found = {finding.name: finding for finding in doctor.secrets(ESTATE, get)}

    assert sorted(asked) == ["hook", "imap", "mail-url", "ssh-key"]
    assert found["secret imap"] == Finding(
        "secret imap", Level.BAD, "needed by replies of mail", "put it there"
    )
    assert found["secret ssh-key"].text == "is there, for host web1, host web2"
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    "key", ["", "ssh-ed25519", "ssh-ed25519 short", "change me please change me please change me"]
)
def test_a_host_without_a_real_key_is_bad(key: str) -> None:
    snapshot = Snapshot("c", hosts={"web1": Host("web1", "10.0.0.5", "act", key, port=2222)})
    found = {finding.name: finding for finding in doctor.estate(snapshot)}

    assert found["host web1"].level is Level.BAD
    assert "ssh-keyscan -p 2222 10.0.0.5" in found["host web1"].fix


def test_an_estate_where_nobody_can_be_asked_is_bad() -> None:
    found = levels(list(doctor.estate(Snapshot("c", operators={"ana": Operator("ana", ())}))))

    assert found == {"operators": Level.BAD}


def test_a_source_without_a_secret_is_a_note() -> None:
    snapshot = Snapshot(
        "c",
        sources={"open": Source("open", SourceKind.WEBHOOK), "probe": Source("probe", SourceKind.HTTP_PROBE)},
    )
    found = levels(list(doctor.estate(snapshot)))

    assert found == {"operators": Level.BAD, "source open": Level.NOTE}


def test_each_host_is_logged_in_to() -> None:
    def reach(name: str) -> str:
        if name == "web2":
            raise ConnectorError("its key is another one")
        return "boot"

    found = list(doctor.ssh(ESTATE, reach))

    assert found == [
        Finding("ssh web1", Level.GOOD, "logged in"),
        Finding("ssh web2", Level.BAD, "its key is another one"),
    ]


def test_notes_do_not_make_anybody_ill() -> None:
    note = Finding("a", Level.NOTE, "x")

    assert doctor.health([note]).well
    assert not doctor.health([note, Finding("b", Level.BAD, "y")]).well


def test_credentials_of_systemd_are_looked_into_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(doctor, "CREDENTIALS", tmp_path / "none")
    nobody = doctor.secret_directories()
    monkeypatch.setattr(doctor, "CREDENTIALS", tmp_path)
    running = doctor.secret_directories()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/mine")

    assert [nobody, running, doctor.secret_directories()] == [[], [tmp_path], [Path("/run/mine")]]
