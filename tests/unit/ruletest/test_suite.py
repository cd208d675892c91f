from __future__ import annotations

import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.ruletest.conftest import (
    DOWN,
    NOBODY,
    ORDER,
    ORDERS,
    PAID,
    SHOP,
    SITE,
    UP,
    loaded,
    played,
    ran,
    written,
)

from holdfast.errors import Problem, StoreError
from holdfast.model.ruletests import Expect, ExpectedIncident, Send
from holdfast.model.values import SECOND
from holdfast.ruletest import Report, Result, run, sent, suite
from holdfast.ruletest.stage import BEGIN

DOES = f"{DOWN}- expect: {{fired: [shop-down]}}\n"
DOES_NOT = "- expect: {fired: [shop-down]}\n"


PROBES_SAY_OK = (
    "Events of type http.probe have data.ok (bool), and this one has not. "
    "Send it, or declare it as optional: bool?."
)
NO_SEVERITY = (
    "The severity is a text that is none of the four. "
    "Send one of info, warning, error, critical, or give the source's map a table."
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory of this process, empty."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def timeless(report: Report) -> Report:
    return replace(report, tests=tuple(replace(result, seconds=0.0) for result in report.tests))


def test_a_test_that_passes_says_what_it_made_fire() -> None:
    report = ran(DOES)
    result = report.tests[0]

    assert report.passed
    assert report.commit == "c1"
    assert result == Result(
        "example-0", "tests/example0.yaml:1", True, (), ("shop-down",), (), result.seconds
    )
    assert 0 <= result.seconds < 60
    assert report.problems == ()


def test_the_story_is_told_where_somebody_asks_for_it() -> None:
    snapshot = loaded(written(DOES))
    [silent], [told] = run(snapshot).tests, run(snapshot, told=True).tests
    kinds = [line.kind for line in told.story]

    assert silent.story == ()
    assert kinds[:5] == ["opened", "evidence", "decided", "start", "attempt"]
    assert {line.after for line in told.story} == {20 * SECOND}
    assert {line.incident for line in told.story} == {"i4-test"}
    assert told.story[3].text == "restart-unit on web1"


def test_a_problem_says_where_the_step_stands_and_which_test_it_is() -> None:
    report = ran(f"- wait: 1s\n{DOES_NOT}")

    assert not report.passed
    assert report.problems == (
        Problem(
            "tests/example0.yaml",
            5,
            3,
            "script[1].expect.fired",
            "no rule fired (expected shop-down), in test example-0",
        ),
    )


def test_a_config_without_tests_passes() -> None:
    assert run(loaded()) == Report(True, "c1", (), ("orders-fail", "shop-down"))


def test_a_test_without_an_expectation_passes() -> None:
    assert ran("- wait: 1s\n").passed


def test_rules_that_no_test_made_fire_are_untested() -> None:
    assert ran(DOES).untested == ("orders-fail",)
    assert ran(DOES, ORDER).untested == ()
    assert ran("- wait: 1s\n").untested == ("orders-fail", "shop-down")


def test_the_rules_that_a_test_made_fire_are_in_the_order_of_their_names() -> None:
    assert ran(DOWN + ORDER).tests[0].fired == ("orders-fail", "shop-down")


def test_a_rule_that_fired_in_a_test_that_failed_is_not_untested() -> None:
    report = ran(f"{DOWN}- expect: {{fired: []}}\n")

    assert (report.passed, report.untested) == (False, ("orders-fail",))


def test_a_script_ends_at_its_first_failing_step_with_everything_wrong_there() -> None:
    script = f"""{DOWN}- expect: {{fired: [], runs: [], asks: []}}
- expect: {{holds: [page-up]}}
{ORDER}"""
    report = ran(script)

    assert [problem.path for problem in report.problems] == [
        "script[1].expect.fired",
        "script[1].expect.runs",
    ]
    assert report.tests[0].fired == ("shop-down",)


def test_one_failing_test_fails_the_whole_and_the_others_still_run() -> None:
    report = ran(DOES, DOES_NOT, DOES)

    assert not report.passed
    assert [result.passed for result in report.tests] == [True, False, True]


def test_tests_run_in_the_order_of_their_names_and_each_result_is_told_at_once() -> None:
    told: list[str] = []
    snapshot = loaded(written(DOES, "b"), written(DOES, "a"), written(DOES_NOT, "c"))
    report = run(snapshot, ended=lambda result: told.append(result.name))

    assert told == ["a", "b", "c"] == [result.name for result in report.tests]


def test_only_the_named_tests_run() -> None:
    snapshot = loaded(written(DOES, "b"), written(ORDER, "a"), written(DOES_NOT, "c"))

    assert [result.name for result in run(snapshot, ["b", "a"]).tests] == ["a", "b"]
    assert run(snapshot, ["a"]).untested == ("shop-down",)
    assert run(snapshot, []).tests == ()


def test_one_test_does_not_see_another() -> None:
    empty = "- expect: {fired: [], incidents: [], runs: [], asks: [], holds: []}\n"
    first = f"{ORDER}{DOWN}- wait: 90s\n- expect: {{holds: [page-up]}}\n"

    assert ran(first, empty, first, empty, first).problems == ()


def test_the_order_of_tests_changes_no_result() -> None:
    scripts = {"p": DOES, "q": DOES_NOT, "r": f"{ORDER}- expect: {{runs: []}}\n"}
    forwards = run(loaded(*(written(script, name) for name, script in scripts.items())))
    names = dict(zip(sorted(scripts, reverse=True), scripts, strict=True))
    backwards = run(loaded(*(written(scripts[old], new) for new, old in names.items())))

    def told(report: Report, named: dict[str, str]) -> list[tuple[str, bool, tuple[str, ...], list[str]]]:
        return sorted(
            (named[one.name], one.passed, one.fired, [problem.path for problem in one.problems])
            for one in report.tests
        )

    assert told(forwards, {name: name for name in scripts}) == told(backwards, names)


def test_the_same_config_gives_the_same_report() -> None:
    scripts = (
        DOES,
        f"{ORDER}{DOWN}- wait: 1d\n- expect: {{runs: [], incidents: [], asks: [{{question: x}}]}}\n",
    )

    assert timeless(ran(*scripts)) == timeless(ran(*scripts))


def test_events_come_a_second_apart_and_those_of_a_probe_as_often_as_it_asks() -> None:
    shop = SHOP.replace("streak: 3", "count: 3, within: 20s")
    slower = SITE.replace("every: 10s", "every: 11s")
    orders = ORDERS.replace("{data.amount: {gte: 1}}}", "{data.amount: {gte: 1}}, count: 3, within: 2s}")
    thrice = ORDER.rstrip().removesuffix("}") + ", times: 3}\n"
    paced = thrice.replace("times: 3", "times: 3, every: 2s")

    assert played(f"{DOWN}- expect: {{fired: [shop-down]}}\n", shop=shop) == []
    assert played(f"{DOWN}- expect: {{fired: []}}\n", shop=shop, site=slower) == []
    assert played(f"{thrice}- expect: {{fired: [orders-fail]}}\n", orders=orders) == []
    assert played(f"{paced}- expect: {{fired: []}}\n", orders=orders) == []


def test_between_two_events_what_is_due_happens() -> None:
    slow = DOWN.replace("times: 3", "times: 4, every: 90s")

    assert played(f"{slow}- expect: {{runs: [{{state: ineffective}}]}}\n") == []
    assert played(f"{DOWN}- expect: {{runs: [{{state: verifying}}]}}\n") == []


def test_after_the_last_event_no_time_passes() -> None:
    script = f"""{DOWN.replace("times: 3", "times: 3, every: 1h")}- wait: 89s
- expect: {{runs: [{{state: verifying}}]}}
- wait: 1s
- expect: {{runs: [{{state: ineffective}}]}}
"""

    assert played(script) == []


def test_the_first_of_many_events_comes_at_once() -> None:
    deploys = "- {event: {source: deploys}, times: 2, every: 80s}\n"

    assert played(f"{DOWN}{deploys}- expect: {{runs: [{{state: verifying}}]}}\n") == []


def test_equal_steps_are_events_of_their_own() -> None:
    once = DOWN.replace(", times: 3", "")

    assert played(f"{once}{once}- expect: {{fired: []}}\n{once}- expect: {{fired: [shop-down]}}\n") == []


def test_a_payload_is_played_and_its_repetition_is_heard_once() -> None:
    payload = "{id: evt_1, kind: order.failed, customer: ana, amount: 5}"
    orders = ORDERS.replace("{data.amount: {gte: 1}}}", "{data.amount: {gte: 1}}, count: 2, within: 1h}")
    first = f"- {{event: {{source: orders, payload: {payload}}}, times: 5}}\n"
    other = first.replace("evt_1", "evt_2")

    assert (
        played(f"{first}- expect: {{fired: []}}\n{other}- expect: {{fired: [orders-fail]}}\n", orders=orders)
        == []
    )


def test_what_happened_some_time_ago_counts_at_its_own_time() -> None:
    deploy = "- event: {source: deploys, ago: 20m}\n"
    held = "- expect: {runs: [{verdict: human, by: builtin-guard}]}\n"

    assert played(deploy.replace("20m", "1m") + DOWN + held) == []
    assert played(f"{deploy}{DOWN}- expect: {{runs: [{{verdict: allow}}]}}\n") == []


def test_a_severity_is_capped_by_the_source_of_the_event() -> None:
    orders = ORDERS.replace("{data.amount: {gte: 1}}", "{severity: {gte: error}}")
    site = SITE.replace("type: note", "type: order.failed")
    modest = "- event: {source: modest, severity: critical}\n- expect: {fired: []}\n"
    anything = modest.replace("modest,", "anything, type: order.failed,").replace("[]", "[orders-fail]")

    assert played(modest, orders=orders, site=site) == []
    assert played(anything, orders=orders, site=site) == []


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("{source: anything}", "The event has no type. Send a type, or let the source's config give one."),
        (
            "{source: anything, type: http.probe}",
            "Events of type http.probe come from probes only. Send another type.",
        ),
        ("{source: shop-probe, data: {status: 500}}", PROBES_SAY_OK),
        ("{source: anything, payload: {type: note, severity: worst}}", NO_SEVERITY),
    ],
)
def test_an_event_that_its_source_refuses_fails_the_test_in_its_words(event: str, message: str) -> None:
    assert played(f"- event: {event}\n{DOES_NOT}") == [f"script[0].event: {message}, in test example-0"]


def test_an_answer_that_makes_no_sense_fails_the_test() -> None:
    assert played("- answer: approve\n") == [
        "script[0].answer: nothing is asked right now, in test example-0"
    ]
    assert played(f"- event: {{source: deploys}}\n{DOWN}- answer: approve\n", site=NOBODY) == [
        "script[2].answer: holdfast.yaml declares no operator, so nobody can answer, in test example-0"
    ]


def test_commands_end_as_each_test_says() -> None:
    script = f"{DOWN}- wait: 1m\n- expect: {{runs: [{{state: %s}}]}}\n"
    snapshot = loaded(
        written(script % "failed", "a", "restart-unit: fails"),
        written(script % "verifying", "b"),
        written(script % "unknown", "c", "restart-unit: unknown"),
    )

    assert run(snapshot).problems == ()


def test_the_command_of_an_undo_ends_as_its_own_action() -> None:
    script = f"{ORDER}{PAID}- expect: {{runs: [{{do: page-up, state: verified}}, {{state: %s}}]}}\n"

    assert played(script % "verified", "page-up: succeeds") == []
    assert played(script % "failed", "page-down: fails") == []


@pytest.mark.parametrize(
    "hostile", ["\n\nrules/x.yaml:1:1: fine", "\x1b[31mred\x1b[0m\a", "\u202e\u2028x\0", "\r\tx\x85"]
)
def test_hostile_text_of_an_event_stays_one_line_of_a_message(hostile: str) -> None:
    snapshot = loaded(written(f"{ORDER}- expect: {{incidents: []}}\n"))
    test = snapshot.tests["example"]
    first, last = test.script
    payload = {"type": "order.failed", "subject": hostile, "amount": 1, "note": hostile}
    first = replace(first, deed=Send("anything", payload=payload))
    for wanted in (Expect(incidents=()), Expect(incidents=(ExpectedIncident(title="x", subject="y"),))):
        script = (first, replace(last, deed=wanted))
        changed = replace(snapshot, tests={"example": replace(test, script=script)})
        lines = [str(problem) for problem in run(changed).problems]

        assert lines
        assert all(line.isprintable() for line in lines)


def test_nothing_is_left_in_the_temporary_directory(temporary: Path) -> None:
    seen: list[list[str]] = []
    snapshot = loaded(written(DOES, "a"), written(DOES_NOT, "b"))

    def look(_result: Result) -> None:
        seen.append(sorted(path.name for folder in temporary.iterdir() for path in folder.iterdir()))

    run(snapshot, ended=look)

    assert list(temporary.iterdir()) == []
    assert all(not any("holdfast.db" in name for name in names) for names in seen)
    assert len(seen) == 2


def test_nothing_is_left_when_a_test_breaks_off(temporary: Path) -> None:
    def stop(_result: Result) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(loaded(written(DOES)), ended=stop)

    assert list(temporary.iterdir()) == []


def test_nothing_is_left_when_a_step_breaks_in_a_way_nobody_foresaw(temporary: Path) -> None:
    snapshot = loaded(written("- event: {source: deploys}\n"))
    broken = replace(snapshot, sources={})

    with pytest.raises(KeyError):
        run(broken)

    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_without_room_for_the_databases_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = tmp_path / kind
    if kind == "file":
        place.write_text("in the way")
    monkeypatch.setattr(tempfile, "tempdir", str(place))

    with pytest.raises(StoreError, match=r"^there is no room for the databases of the tests: "):
        run(loaded(written(DOES)))


def test_room_that_is_gone_between_two_tests_is_no_failure_of_a_test(temporary: Path) -> None:
    def full(_result: Result) -> None:
        for folder in temporary.iterdir():
            (folder / "empty.db").unlink()

    with pytest.raises(StoreError, match=r"^there is no room for the databases of the tests: "):
        run(loaded(written(DOES, "a"), written(DOES, "b")), ended=full)

    assert list(temporary.iterdir()) == []


def test_a_database_that_cannot_be_used_is_no_failure_of_a_test(temporary: Path) -> None:
    def spoil(_result: Result) -> None:
        for folder in temporary.iterdir():
            (folder / "empty.db").write_bytes(b"no database at all" * 100)

    with pytest.raises(StoreError):
        run(loaded(written(DOES, "a"), written(DOES, "b")), ended=spoil)

    assert list(temporary.iterdir()) == []


def test_a_disk_that_fills_up_amid_a_script_is_no_failure_of_a_test(temporary: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(_result: Result) -> None:
        size = next(temporary.glob("*/empty.db")).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, before[1]))

    try:
        with pytest.raises(StoreError):
            run(loaded(written(DOES, "a"), written(DOES * 50, "b")), ended=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list(temporary.iterdir()) == []


def test_a_long_wait_comes_to_its_end() -> None:
    script = (
        f"{DOWN}{UP}- wait: 30d\n- expect: {{incidents: [{{state: closed}}], runs: [{{state: verified}}]}}\n"
    )

    assert played(script) == []


def test_an_engine_is_shown_one_event_for_each_step_that_sends() -> None:
    snapshot = loaded(written(DOES, "a"), written(f"{ORDER}{DOWN}{UP}", "b"))
    found = sent(snapshot)

    assert [event.id for event in found] == ["a-0", "b-0", "b-1", "b-2"]
    assert {event.received for event in found} == {BEGIN}


def test_what_its_source_refuses_is_not_shown_to_an_engine() -> None:
    snapshot = loaded(written("- event: {source: anything}\n", "a"), written(DOWN, "b"))

    assert [event.id for event in sent(snapshot)] == ["b-0"]


def test_an_engine_is_shown_a_bounded_number_of_events() -> None:
    snapshot = loaded(*(written(DOWN * 150, f"t{number}") for number in range(8)))

    assert len(sent(snapshot)) == suite.SHOWN == 1_000


def test_an_engine_is_shown_nothing_where_there_are_no_tests() -> None:
    assert sent(loaded()) == []
