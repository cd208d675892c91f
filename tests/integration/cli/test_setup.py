from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BAD = "rule: x\ndoc: y\nmode: atuo\nrule: z\n"


@pytest.fixture
def config(holdfast: Any, tmp_path: Path) -> Path:
    """The starter pack, as `init` writes it."""
    assert holdfast("init", str(tmp_path / "config")).code == 0
    return tmp_path / "config"


def git(*arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(where),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "ana",
        "GIT_AUTHOR_EMAIL": "ana@example.org",
        "GIT_COMMITTER_NAME": "ana",
        "GIT_COMMITTER_EMAIL": "ana@example.org",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        ["git", *arguments],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_init_writes_is_valid(holdfast: Any, config: Path) -> None:
    shown = holdfast("check", str(config))

    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("valid  config dir-")
    assert "tests     4 (`holdfast test` plays them)" in shown.out


def test_init_says_what_it_wrote_and_what_to_do_next(holdfast: Any, tmp_path: Path) -> None:
    found = holdfast("init", str(tmp_path / "mine"), "--json").json

    assert found["directory"] == str(tmp_path / "mine")
    assert str(tmp_path / "mine" / "holdfast.yaml") in found["files"]
    assert all(Path(name).is_file() for name in found["files"])
    assert found["next"][1:] == [
        f"holdfast check {tmp_path / 'mine'}",
        f"holdfast run --config {tmp_path / 'mine'}",
    ]


def test_init_never_writes_over_anything(holdfast: Any, config: Path) -> None:
    before = (config / "holdfast.yaml").read_bytes()
    shown = holdfast("init", str(config))

    assert (shown.code, shown.out) == (1, "")
    assert "is not an empty directory" in shown.err
    assert (config / "holdfast.yaml").read_bytes() == before


def test_a_valid_config_is_counted(holdfast: Any, config: Path) -> None:
    found = holdfast("check", str(config), "--json").json

    assert found["valid"] is True
    assert found["tests"] == 4
    assert found["commit"].startswith("dir-")
    assert [found[key] for key in ("rules", "hosts", "services", "operators")] == [1, 1, 1, 1]
    assert found["modes"] == {"auto": 1}


def test_every_problem_is_printed_with_its_place(holdfast: Any, config: Path) -> None:
    (config / "rules" / "bad.yaml").write_text(BAD)
    shown = holdfast("check", str(config))
    found = holdfast("check", str(config), "--json")

    assert shown.code == 2
    assert "rules/bad.yaml:3:7: mode: `atuo` is not a mode (did you mean auto?)" in shown.out
    assert shown.out.splitlines()[-1] == f"{len(found.json['problems'])} problems"
    assert (found.code, found.json["valid"]) == (2, False)
    assert {"file": "rules/bad.yaml", "line": 3, "column": 7, "path": "mode"}.items() <= found.json[
        "problems"
    ][3].items()


def test_a_problem_is_one_line_whatever_the_file_holds(holdfast: Any, config: Path) -> None:
    (config / "rules" / "bad.yaml").write_text('"\\e[31m\\u202e[bold]x": 1\n')
    shown = holdfast("check", str(config))

    assert shown.code == 2
    assert "\x1b" not in shown.out + shown.err
    assert "\u202e" not in shown.out + shown.err
    assert all(row.startswith("rules/bad.yaml:1:1: ") for row in shown.out.splitlines()[:-1])


def test_check_reads_the_directory_one_stands_in(
    holdfast: Any, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(config)
    (config / "rules" / "bad.yaml").write_text(BAD)
    (tmp_path / "other").mkdir()
    named = holdfast("--config", str(tmp_path / "other"), "check")
    program = [sys.executable, "-m", "holdfast", "check"]
    environment = {name: value for name, value in os.environ.items() if name != "HOLDFAST_CONFIG"}
    here = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert "rules/bad.yaml" not in named.out
    assert "rules/bad.yaml" in here.stdout
    assert here.returncode == 2


def test_a_config_that_is_not_there_says_how_to_make_one(holdfast: Any, tmp_path: Path) -> None:
    shown = holdfast("check", str(tmp_path / "none"))

    assert shown.code == 2
    assert "holdfast init" in shown.out


def test_rules_are_listed_without_a_store(holdfast: Any, config: Path) -> None:
    found = holdfast("rules", "--json").json
    shown = holdfast("rules").out

    (rule,) = found["rules"]
    assert (rule["name"], rule["mode"], rule["fired"], rule["results"]) == ("shop-down", "auto", None, None)
    assert "3 in a row" in rule["when"]
    assert "contain: restart-unit" in shown
    assert "fired" not in shown


def test_rules_say_how_often_they_fired_and_how_their_runs_ended(
    holdfast: Any, config: Path, outage: int
) -> None:
    (rule,) = holdfast("rules", "--json").json["rules"]

    assert (rule["fired"], rule["last_fired"]) == (3, outage)
    assert rule["results"] == {"ineffective": 1, "verified": 1}
    assert "fired   3 times, last 3 min ago; runs: 1 ineffective, 1 verified" in holdfast("rules").out


def test_an_invalid_config_fails_every_command_that_needs_it(holdfast: Any, config: Path) -> None:
    (config / "rules" / "bad.yaml").write_text(BAD)
    shown = holdfast("rules")

    assert (shown.code, shown.out) == (2, "")
    assert all(row.startswith("holdfast: rules/bad.yaml:") for row in shown.err.splitlines())


def test_the_doctor_is_red_where_secrets_are_missing_and_green_when_they_are_there(
    holdfast: Any, config: Path, state: Path, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    state.chmod(0o700)
    sick = holdfast("doctor", "--json")
    missing = [item["name"] for item in sick.json["findings"] if item["level"] == "bad"]
    (state / "secrets").mkdir()
    for name in missing:
        path = state / "secrets" / name.removeprefix("secret ")
        path.write_text("s3cret")
        path.chmod(0o600)
    well = holdfast("doctor")

    assert (sick.code, sick.json["well"]) == (1, False)
    assert missing == ["secret deploys", "secret mail-url", "secret ssh-key"]
    assert (well.code, well.out.splitlines()[-1]) == (0, "All well.")
    assert "s3cret" not in well.out


def test_the_doctor_is_red_where_a_secret_is_everybodys(holdfast: Any, config: Path, state: Path) -> None:
    (state / "secrets").mkdir()
    path = state / "secrets" / "deploys"
    path.write_text("s3cret")
    path.chmod(0o644)
    found = {item["name"]: item for item in holdfast("doctor", "--json").json["findings"]}

    assert found["secret deploys"]["level"] == "bad"
    assert "chmod 600" in found["secret deploys"]["fix"]


def test_the_doctor_looks_on_where_the_config_is_broken(holdfast: Any, config: Path, state: Path) -> None:
    (config / "rules" / "bad.yaml").write_text(BAD)
    shown = holdfast("doctor")

    assert shown.code == 1
    assert "BAD   config: 5 problems, the first: rules/bad.yaml:1:1" in shown.out
    assert "holdfast check" in shown.out


def test_the_doctor_logs_in_only_when_asked(holdfast: Any, config: Path, state: Path) -> None:
    plain = [item["name"] for item in holdfast("doctor", "--json").json["findings"]]
    (state / "secrets").mkdir()
    found = {item["name"]: item for item in holdfast("doctor", "--ssh", "--json").json["findings"]}

    assert "ssh web1" not in plain
    assert found["ssh web1"]["level"] == "bad"


def test_a_push_is_judged_by_the_same_words_that_check_prints(
    holdfast: Any, config: Path, tmp_path: Path
) -> None:
    server = tmp_path / "server.git"
    assert holdfast("init", str(tmp_path / "pushed"), "--server", str(server)).code == 0
    work = tmp_path / "pushed"
    git("init", "-q", "-b", "main", where=work)
    git("add", "-A", where=work)
    git("commit", "-qm", "the estate", where=work)
    good = git("push", str(server), "main", where=work)
    (work / "rules" / "bad.yaml").write_text(BAD)
    git("add", "-A", where=work)
    git("commit", "-qm", "worse", where=work)
    bad = git("push", str(server), "main", where=work)
    running = holdfast("--config", str(server), "rules", "--json").json

    assert good.returncode == 0, good.stderr
    assert bad.returncode != 0
    assert "remote: rules/bad.yaml:3:7: mode: `atuo` is not a mode (did you mean auto?)" in bad.stderr
    assert running["commit"] == git("rev-parse", "HEAD~1", where=work).stdout.strip()
