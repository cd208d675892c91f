from __future__ import annotations

import re
from pathlib import Path

import pytest
import repository
from over_ssh import ESTATE

from holdfast.config.load import load
from holdfast.decide.builtin import BUILTIN, in_force
from holdfast.model.actions import Connector
from holdfast.model.rules import Mode

README = (Path(__file__).parents[3] / "bench" / "README.md").read_text()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICtBI7Ed6PStLYzViQ4MMR8PH1/V+hZJANNASwCikAaZ"
HOST = ESTATE.format(host="127.0.0.1", port=22, user="act", key=KEY)


@pytest.mark.parametrize("limits", [False, True])
@pytest.mark.parametrize("workload", ["W1", "W2", "W3", "W4", "W5"])
def test_the_config_of_every_workload_is_valid(workload: str, limits: bool, tmp_path: Path) -> None:
    snapshot = load(repository.write(tmp_path, workload, 10, tmp_path / "log", limits=limits))

    assert len(snapshot.rules) == (1 if workload == "W3" else 10)
    assert {rule.mode for rule in snapshot.rules.values()} == {Mode.AUTO}
    assert {action.connector for action in snapshot.actions.values()} == {Connector.LOCAL}


def test_limits_are_replaced_or_left_as_they_are(tmp_path: Path) -> None:
    names = {
        policy.name
        for policy in BUILTIN
        if policy.name not in {"builtin-human-mandated", "builtin-irreversible"}
    }
    forced = {
        limits: {
            policy.name
            for policy in in_force(
                tuple(
                    load(
                        repository.write(tmp_path / str(limits), "W1", 1, tmp_path / "log", limits=limits)
                    ).policies.values()
                )
            )
        }
        for limits in (False, True)
    }

    assert forced[False] & names == set()
    assert forced[True] & names == names


def test_over_ssh_the_action_runs_on_the_one_host(tmp_path: Path) -> None:
    snapshot = load(repository.write(tmp_path, "W2", 2, tmp_path / "log", estate=HOST))

    assert {action.connector for action in snapshot.actions.values()} == {Connector.SSH}
    assert {rule.contain[0].at for rule in snapshot.rules.values()} == {"web1"}


def test_of_a_thousand_rules_of_one_type_each_looks_at_the_same_events(tmp_path: Path) -> None:
    snapshot = load(repository.write(tmp_path, "W1", 1000, tmp_path / "log", one_type=True))

    assert {rule.when.event for rule in snapshot.rules.values()} == {"alarm_0"}
    assert len(snapshot.rules) == 1000


@pytest.mark.parametrize("workload", ["W1", "W3"])
def test_the_readme_shows_what_is_written_in_full(workload: str, tmp_path: Path) -> None:
    root = repository.write(tmp_path, workload, 1, Path("FIRED.LOG"))
    shown = "\n".join(re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL))
    missing = [
        (path.name, part)
        for path in sorted(root.rglob("*.yaml"))
        for part in path.read_text().split("---\n")
        if part.strip() not in shown
    ]

    assert missing == []
