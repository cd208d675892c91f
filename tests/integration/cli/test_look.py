from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.records import GateState, IncidentState, RunState
from holdfast.model.values import MINUTE, SECOND

COMMIT = "dir-0123456789ab"


def test_open_incidents_come_before_cleared_ones_and_closed_ones_are_left_out(
    holdfast: Any, outage: int
) -> None:
    shown = holdfast("incidents")
    rows = [row.split()[:3] for row in shown.out.splitlines()[1:3]]

    assert (shown.code, shown.err) == (0, "")
    assert rows == [["i41", "open", "critical"], ["i7", "cleared", "warning"]]
    assert "i3" not in shown.out


def test_incidents_in_json_are_the_newest_first_with_stable_keys(holdfast: Any, outage: int) -> None:
    found = holdfast("incidents", "--all", "--json").json

    assert {item["id"] for item in found["incidents"]} == {"i41-abcdefgh", "i7-abcdefgh", "i3-abcdefgh"}
    assert found["counts"] == {"open": 1, "cleared": 1, "closed": 1}
    assert next(item for item in found["incidents"] if item["id"] == "i41-abcdefgh") == {
        "id": "i41-abcdefgh",
        "state": "open",
        "severity": "critical",
        "type": "service-down",
        "title": "shop fails its probe (503)",
        "service": "shop",
        "subject": "shop",
        "opened": outage,
        "changed": outage,
        "cleared": None,
        "reopened": 0,
    }


def test_incidents_can_be_narrowed_to_states_and_to_a_number(holdfast: Any, outage: int) -> None:
    closed = holdfast("incidents", "--only", "closed", "--json").json
    two = holdfast("incidents", "--all", "--last", "2", "--json").json

    assert [item["id"] for item in closed["incidents"]] == ["i3-abcdefgh"]
    assert len(two["incidents"]) == 2


def test_nothing_open_is_said_and_what_was_is_counted(holdfast: Any, filling: Any) -> None:
    empty = holdfast("incidents").out
    with filling(1000) as fill:
        fill.outage(1, state=IncidentState.CLOSED)

    assert empty == "No incident yet.\n"
    assert (
        holdfast("incidents").out == "No incident is open.\n`holdfast incidents --all` lists 1 from before.\n"
    )


def test_an_empty_store_says_so_everywhere(holdfast: Any, database: Any) -> None:
    assert holdfast("runs").out == "Nothing was run.\n"
    assert holdfast("events").out == "The journal has no such entry.\n"
    assert holdfast("events", "--quarantined").out == "Nothing was set aside.\n"
    assert "incidents    none yet" in holdfast("status").out


def test_the_kill_switch_is_seen_without_a_daemon(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        fill.fact("stopped", "1")

    assert "kill switch  ON: no new step starts (`holdfast resume` ends it)" in holdfast("status").out


@pytest.mark.parametrize("command", [["incidents"], ["deny", "g44"]])
def test_somebody_who_may_not_look_is_told_who_may(
    holdfast: Any, outage: int, state: Path, command: list[str], request: pytest.FixtureRequest
) -> None:
    state.chmod(0o000)
    request.addfinalizer(lambda: state.chmod(0o700))
    me = os.geteuid()
    if me == 0:
        os.seteuid(65_534)
        request.addfinalizer(lambda: os.seteuid(me))
    shown = holdfast(*command)

    assert (shown.code, shown.out) == (1, "")
    assert "run this as root or as the daemon's user" in shown.err


@pytest.mark.parametrize("typed", ["i41-abcdefgh", "i41", "i4", "I41", "i41-abc"])
def test_the_beginning_of_an_id_is_enough(holdfast: Any, outage: int, typed: str) -> None:
    assert holdfast("show", typed, "--json").json["incident"]["id"] == "i41-abcdefgh"


def test_an_id_whose_first_part_fits_is_not_mistaken_for_a_longer_one(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        for number in (1, 10, 11, "1.2"):
            fill.outage(number)
    found = holdfast("show", "i1", "--json").json
    several = holdfast("show", "i1.")

    assert found["incident"]["id"] == "i1-abcdefgh"
    assert several.code == 0


def test_a_beginning_that_fits_several_is_bad_input_and_names_them(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        fill.outage(10)
        fill.outage(11)
    shown = holdfast("show", "i1")

    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "holdfast: 'i1' begins 2 ids (i11-abcdefgh, i10-abcdefgh): type more of it\n"


@pytest.mark.parametrize("typed", ["i9", "", "%", "_", "i%", "g44"])
def test_an_incident_that_is_not_there_is_not_found(holdfast: Any, outage: int, typed: str) -> None:
    shown = holdfast("show", typed)

    assert (shown.code, shown.out) == (3, "")
    assert "there is no incident" in shown.err


def test_the_story_has_everything_that_one_operator_needs(holdfast: Any, outage: int) -> None:
    found = holdfast("show", "i41", "--json").json

    assert list(found) == [
        "incident", "rules", "evidence", "decisions", "runs", "questions", "answers", "messages", "holds",
        "timeline",
    ]  # fmt: skip
    assert found["rules"] == [{"rule": "shop-down", "key": '["shop"]', "clear": False}]
    assert found["evidence"][0]["event"]["data"] == {"ok": False, "status": 503}
    assert found["decisions"][0]["voices"][0] == {
        "policy": "shop-envelope",
        "effect": "allow",
        "why": "low risk, availability: within the envelope of service-down",
    }
    assert found["decisions"][0]["run"] == "r41-abcdefgh"
    assert found["runs"][0]["run"]["state"] == "ineffective"
    (step,) = found["runs"][0]["steps"]
    assert step["command"] == "sudo -n systemctl restart -- shop.service"
    assert [(made["number"], made["outcome"], made["exit_code"]) for made in step["attempts"]] == [
        (1, "ended", 0)
    ]
    assert [(item["id"], item["state"], item["silence"]) for item in found["questions"]] == [
        ("g44-abcdefgh", "pending", "wait")
    ]
    assert [item["taken_for"] for item in found["answers"]] == ["wrong-code"]
    assert [(item["state"], item["detail"]) for item in found["messages"]] == [
        ("sent", ""),
        ("failed", "connection refused"),
    ]
    assert [(item["run"], item["until"]) for item in found["holds"]] == [
        ("r41-abcdefgh", outage + 3600 * SECOND)
    ]
    assert [item["kind"] for item in found["timeline"]] == [
        "opened", "evidence", "decided", "start", "ineffective", "question",
    ]  # fmt: skip


def test_what_waits_for_the_operator_is_told_before_anything_else(holdfast: Any, outage: int) -> None:
    shown = holdfast("show", "i41").out
    parts = [
        "shop fails its probe (503)",
        "Waits for you",
        "roll-back  web1: sudo -n /usr/local/bin/roll-back shop",
        "holdfast answer g44 roll-back",
        "Why it is believed",
        "Decisions",
        "shop-envelope",
        "What was run",
        "attempt 1: exit code 0 after 120 ms",
        "| restarting shop.service",
        "Holds",
        "Messages",
        "Timeline (UTC)",
    ]
    places = [shown.find(part) for part in parts]

    assert -1 not in places
    assert places == sorted(places)


def test_sections_with_nothing_in_them_are_left_out(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        fill.outage(1)
    shown = holdfast("show", "i1").out

    assert not any(
        title in shown for title in ("Waits for you", "Decisions", "What was run", "Holds", "Messages")
    )


def test_an_attempt_without_an_outcome_says_so(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1, reopened=2)
        fill.begun(fill.run(incident, 2, RunState.RUNNING), number=2)
    shown = holdfast("show", "i1").out

    assert "attempt 1: exit code 0 after 120 ms" in shown
    assert "attempt 2: ready, no outcome yet" in shown
    assert "reopened 2 times" in shown


def test_a_hold_that_was_released_says_when_and_why(holdfast: Any, filling: Any) -> None:
    with filling(1_700_000_000_000) as fill:
        run = fill.run(fill.outage(1), 1)
        fill.hold(run)
        fill.release(run, 1_700_000_060_000)
    found = holdfast("show", "i1", "--json").json["holds"]

    assert [(item["released"], item["why"]) for item in found] == [
        (1_700_000_060_000, "the incident cleared")
    ]
    assert "released 22:14:20: the incident cleared" in holdfast("show", "i1").out
    assert holdfast("holds").out == "Nothing is held.\n"


def test_a_question_that_is_over_is_told_with_its_answer(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1)
        fill.gate(incident, 2, 9000, state=GateState.ANSWERED, answer="wait", answered_by="ana")
    shown = holdfast("show", "i1").out

    assert "Waits for you" not in shown
    assert "Roll shop back to the previous release? answered: wait by ana" in shown


def test_evidence_beyond_the_first_events_is_counted(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1)
        for number in range(2, 13):
            fill.note(incident, "evidence", f"probe {number}", {"rule": "shop-down"})
    shown = holdfast("show", "i1").out

    assert "… and 4 more events like these" in shown
    assert len(holdfast("show", "i1", "--json").json["evidence"]) == 12


def test_a_timeline_that_holds_nonsense_is_still_told(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1)
        fill.note(incident, "decided", "x", {"verdict": "no object", "run": 3})
        fill.note(incident, "decided", "y", {"verdict": {"voices": [1, {"policy": None}]}, "steps": "none"})
        fill.note(incident, "evidence", "z", {"rule": 7, "guards": "none", "event": [1]})
    shown = holdfast("show", "i1")

    assert (shown.code, shown.err) == (0, "")
    assert holdfast("explain", "i1").code == 0


def test_the_report_is_markdown_with_every_part(holdfast: Any, outage: int) -> None:
    shown = holdfast("show", "i41", "--markdown").out

    assert shown.startswith("# shop fails its probe (503)\n")
    assert [row for row in shown.splitlines() if row.startswith("## ")] == [
        "## Why it is believed",
        "## Decisions",
        "## What was run",
        "## Holds",
        "## Questions and answers",
        "## Messages",
        "## Timeline (UTC)",
    ]
    assert "- on web1: `sudo -n systemctl restart -- shop.service`" in shown


def test_what_strangers_wrote_is_no_markup_in_the_report(holdfast: Any, filling: Any) -> None:
    title = "[click](http://evil.example) <script>x</script> `code` ![p](//e) **b** www.evil.example | # h"
    with filling(1000) as fill:
        fill.outage(1, title)
    head = holdfast("show", "i1", "--markdown").out.splitlines()[0]

    assert head == (
        "# \\[click\\](http\\://evil.example) \\<script\\>x\\</script\\> \\`code\\` !\\[p\\](//e) "
        "\\*\\*b\\*\\* www\\.evil.example \\| \\# h"
    )


def test_a_report_and_json_at_once_is_bad_usage(holdfast: Any, outage: int) -> None:
    shown = holdfast("show", "i41", "--markdown", "--json")

    assert (shown.code, shown.out) == (2, "")


def test_the_journal_is_listed_oldest_first(holdfast: Any, outage: int) -> None:
    found = holdfast("events", "--json").json["entries"]

    assert [(item["seq"], item["kind"]) for item in found] == [(1, "event"), (2, "reply"), (3, "event")]
    assert found[0]["body"]["data"] == {"ok": False, "status": 503}
    assert found[2]["body"] == '{"broken'
    assert [item["seq"] for item in holdfast("events", "--last", "2", "--json").json["entries"]] == [2, 3]
    assert [item["seq"] for item in holdfast("events", "--kind", "reply", "--json").json["entries"]] == [2]


def test_a_reply_code_is_not_shown_in_the_list(holdfast: Any, outage: int) -> None:
    shown = holdfast("events").out

    assert "ana@example.org: roll-back" in shown
    assert "7kq2" not in shown


def test_what_was_set_aside_is_listed_with_its_reason(holdfast: Any, outage: int) -> None:
    found = holdfast("events", "--quarantined", "--json").json["entries"]
    shown = holdfast("events", "--quarantined").out

    assert [(item["seq"], item["reason"]) for item in found] == [(3, "DecodeError: Input data was truncated")]
    assert "DecodeError: Input data was truncated" in shown
    assert holdfast("events", "--quarantined", "--kind", "reply").out == "Nothing was set aside.\n"


def test_an_unknown_kind_is_bad_usage(holdfast: Any, outage: int) -> None:
    shown = holdfast("events", "--kind", "nonsense")

    assert (shown.code, shown.out) == (2, "")
    assert "'event', 'tick', 'outcome'" in shown.err


def test_runs_say_what_was_done_where_and_how_it_ended(holdfast: Any, outage: int) -> None:
    found = holdfast("runs", "--json").json["runs"]
    one = holdfast("runs", "--incident", "i7", "--json").json["runs"]

    assert {(item["id"], item["state"]) for item in found} == {
        ("r41-abcdefgh", "ineffective"),
        ("r7-abcdefgh", "verified"),
    }
    assert [(item["id"], item["targets"]) for item in one] == [("r7-abcdefgh", ["web1"])]
    assert "restart-unit on web1 (contain, step 1 of 1)" in holdfast("runs").out


def test_only_runs_that_are_not_over_are_active(holdfast: Any, filling: Any) -> None:
    with filling(1000) as fill:
        incident = fill.outage(1)
        fill.run(incident, 1, RunState.VERIFIED)
        fill.run(incident, 2, RunState.VERIFYING)

    assert [item["id"] for item in holdfast("runs", "--active", "--json").json["runs"]] == ["r2-abcdefgh"]
    assert holdfast("runs", "--incident", "i9").code == 3


def test_holds_say_until_when(holdfast: Any, filling: Any) -> None:
    empty = holdfast("holds").out
    with filling(1_700_000_000_000) as fill:
        incident = fill.outage(1)
        fill.hold(fill.run(incident, 1), 1_700_000_600_000)
        fill.hold(fill.run(incident, 2))
    found = holdfast("holds", "--json").json["holds"]
    shown = holdfast("holds").out

    assert empty == "Nothing is held.\n"
    assert [(item["run"], item["kind"], item["until"]) for item in found] == [
        ("r1-abcdefgh", "duration", 1_700_000_600_000),
        ("r2-abcdefgh", "until-clear", None),
    ]
    assert "restart-unit on web1, until 2023-11-14 22:23:20 UTC" in shown
    assert "restart-unit on web1, until the incident clears" in shown


def test_status_without_a_daemon_shows_the_store_and_says_so(holdfast: Any, outage: int, state: Path) -> None:
    shown = holdfast("status")
    found = holdfast("status", "--json")

    assert (shown.code, found.code) == (4, 4)
    assert shown.out.startswith(f"down  no daemon answers: there is no {state}/control.sock.")
    assert "1 not decided on yet" in shown.out
    assert "holdfast answer g44 roll-back" in shown.out
    assert (found.json["up"], found.json["daemon"]) == (False, None)
    stored = found.json["stored"]
    assert (stored["journal"], stored["cursor"], stored["behind"], stored["quarantined"]) == (3, 2, 1, 1)
    assert (stored["commit"], stored["stopped"], stored["holds"]) == (COMMIT, False, 1)
    assert stored["incidents"] == {"open": 1, "cleared": 1, "closed": 1}
    assert [item["id"] for item in stored["open_incidents"]] == ["i41-abcdefgh"]
    assert [item["id"] for item in stored["questions"]] == ["g44-abcdefgh"]
    assert stored["messages"] == {"failed": 1}


def test_status_without_daemon_and_store_says_what_to_do(holdfast: Any, state: Path) -> None:
    shown = holdfast("status")
    found = holdfast("status", "--json").json

    assert shown.code == 4
    assert "start the daemon once" in shown.out
    assert found["stored"] is None
    assert str(state) in found["store_problem"]


@pytest.mark.parametrize(
    "command",
    [["incidents"], ["show", "i1"], ["events"], ["runs"], ["holds"], ["explain", "i1"], ["deny", "g1"]],
)
def test_without_a_store_every_look_fails_with_one_line(holdfast: Any, command: list[str]) -> None:
    shown = holdfast(*command)

    assert (shown.code, shown.out) == (1, "")
    assert shown.err.count("\n") == 1
    assert "start the daemon once, or name its state directory with --state" in shown.err


def test_a_damaged_store_fails_with_one_line(holdfast: Any, state: Path) -> None:
    (state / "holdfast.db").write_bytes(b"this is no database, " * 100)
    shown = holdfast("incidents")

    assert (shown.code, shown.out) == (1, "")
    assert "restore the file from a backup" in shown.err


def test_options_may_stand_before_or_after_the_command(holdfast: Any, outage: int, tmp_path: Path) -> None:
    elsewhere = holdfast("incidents", "--state", str(tmp_path / "none"))

    assert elsewhere.code == 1
    assert str(tmp_path / "none") in elsewhere.err


def test_a_question_is_listed_until_it_expires(holdfast: Any, outage: int) -> None:
    shown = holdfast("approve").out

    assert "Roll shop back to the previous release?" in shown
    assert "silence counts as wait" in shown
    assert holdfast("approve", "--json").json["pending"][0]["expires"] == outage + 30 * MINUTE
