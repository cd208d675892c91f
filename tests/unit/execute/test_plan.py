from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.conditions import MISSING, Missing
from holdfast.errors import PlanError
from holdfast.execute.plan import LOCAL, MAX_STEPS, bind
from holdfast.model.actions import (
    Action,
    Connector,
    Host,
    Param,
    ParamKind,
    Plan,
    Playbook,
    Retry,
    Risk,
    Service,
    Touches,
    Verify,
)
from holdfast.model.rules import Do, Hold, HoldKind
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json, Ref

SHOP = Service("shop", hosts=("web1", "web2"), unit="shop.service")
HOSTS = {name: Host(name, "10.0.0.1", "act", "ssh-ed25519 AAAA") for name in ("web1", "web2", "db1")}
UNIT = Param(ParamKind.UNIT_NAME)
RESTART = Action(
    "restart-unit",
    "Restart it.",
    Connector.SSH,
    ("systemctl", "restart", "--", Ref("unit")),
    frozenset({Touches.AVAILABILITY, Touches.ACCESS}),
    Risk.LOW,
    params={"unit": UNIT},
    verify=Verify(),
    idempotent=True,
    deadline=7000,
    retry=Retry(3),
)


def action(name: str, **changes: object) -> Action:
    return replace(RESTART, name=name, **changes)  # type: ignore[arg-type]


PLAIN = action("plain", argv=("true",), params={})
PAGE_ON = action(
    "page-on",
    argv=("page", "on", Ref("service")),
    params={"service": Param(ParamKind.HOST_NAME)},
    undo=Do("page-off", params={"service": Ref("service")}),
)
PAGE_OFF = action(
    "page-off",
    argv=("page", "off", Ref("service")),
    params={"service": Param(ParamKind.HOST_NAME)},
    undo=Do("page-on", params={"service": Ref("service")}),
)
HERE = action("note", connector=Connector.LOCAL, argv=("logger", "x"), params={})

VALUES: dict[str, Json] = {
    "$service.unit": "shop.service",
    "$service.hosts": ["web1", "web2"],
    "$service.name": "shop",
    "$host": "web2",
    "$probe.data.list": ["a"],
    "$probe.data.null": None,
    "$probe.data.evil": "-Hroot@evil.service",
    "$probe.data.host": "evil.example",
}


def resolve(ref: Ref) -> Json | Missing:
    return VALUES.get(str(ref), MISSING)


def plan(do: Do, *things: Action | Playbook, service: Service | None = SHOP) -> Plan:
    everything = (RESTART, PLAIN, PAGE_ON, PAGE_OFF, HERE, *things)
    snapshot = Snapshot(
        "c1",
        hosts=HOSTS,
        services={"shop": SHOP},
        actions={item.name: item for item in everything if isinstance(item, Action)},
        playbooks={item.name: item for item in everything if isinstance(item, Playbook)},
    )
    return bind(do, snapshot=snapshot, resolve=resolve, service=service)


def refused(do: Do, *things: Action | Playbook, service: Service | None = SHOP) -> str:
    with pytest.raises(PlanError) as caught:
        plan(do, *things, service=service)
    return str(caught.value)


def test_a_step_is_made_for_every_host_of_the_service_and_holds_all_that_a_connector_needs() -> None:
    made = plan(Do("restart-unit", params={"unit": Ref("service", ("unit",))}))

    assert made.name == "restart-unit"
    assert [step.target for step in made.steps] == ["web1", "web2"]
    step = made.steps[0]
    assert step.argv == ("systemctl", "restart", "--", "shop.service")
    assert step.params == {"unit": "shop.service"}
    assert (step.connector, step.risk, step.idempotent, step.irreversible) == (
        Connector.SSH,
        Risk.LOW,
        True,
        False,
    )
    assert step.touches == (Touches.ACCESS, Touches.AVAILABILITY)
    assert (step.deadline, step.retry, step.verify, step.fresh) == (7000, Retry(3), Verify(), True)
    assert (step.skip_if, step.undo) == (None, ())
    assert (made.hold, made.hold_for) == (None, None)


def test_equal_dos_make_equal_plans() -> None:
    do = Do("restart-unit", params={"unit": "shop.service"})

    assert plan(do) == plan(do)


def test_at_names_a_host_a_list_or_a_reference() -> None:
    assert [step.target for step in plan(Do("plain", at="db1")).steps] == ["db1"]
    assert [step.target for step in plan(Do("plain", at=Ref("host"))).steps] == ["web2"]
    assert [step.target for step in plan(Do("plain", at=Ref("service", ("hosts",)))).steps] == [
        "web1",
        "web2",
    ]


def test_a_target_named_twice_is_acted_on_once() -> None:
    twice = replace(SHOP, hosts=("web1", "web2", "web1"))

    assert [step.target for step in plan(Do("plain"), service=twice).steps] == ["web1", "web2"]


@pytest.mark.parametrize(
    "at", ["evil.example", "", Ref("probe", ("data", "host")), Ref("probe", ("data", "list"))]
)
def test_a_target_that_is_not_of_the_estate_is_refused(at: str | Ref) -> None:
    assert "no host of the estate" in refused(Do("plain", at=at))


def test_a_service_with_an_unknown_host_is_refused() -> None:
    assert "no host of the estate" in refused(Do("plain"), service=Service("x", hosts=("gone",)))


def test_without_service_and_at_there_is_no_target() -> None:
    assert "names no service" in refused(Do("plain"), service=None)
    assert "has no hosts" in refused(Do("plain"), service=Service("empty"))


def test_at_without_a_value_is_refused() -> None:
    assert "has no value" in refused(Do("plain", at=Ref("probe", ("data", "nothing"))))


def test_a_local_step_runs_here_whatever_at_says() -> None:
    made = plan(Do("note"), service=None)

    assert [(step.target, step.connector) for step in made.steps] == [(LOCAL, Connector.LOCAL)]


def test_an_unknown_action_is_refused() -> None:
    assert "no action or playbook named nothing" in refused(Do("nothing"))


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({}, "needs the parameter unit"),
        ({"unit": "shop.service", "user": "x"}, "has no parameter user"),
        ({"unit": Ref("probe", ("data", "nothing"))}, "has no value"),
        ({"unit": Ref("probe", ("data", "list"))}, "not a single value"),
        ({"unit": Ref("probe", ("data", "null"))}, "no text"),
        ({"unit": Ref("probe", ("data", "evil"))}, "begins with a dash"),
        ({"unit": Ref("secret", ("stripe",))}, "would show a secret"),
        ({"unit": Ref("secret")}, "would show a secret"),
    ],
)
def test_a_parameter_that_is_missing_unknown_or_hostile_is_refused(
    params: Mapping[str, str | Ref], why: str
) -> None:
    message = refused(Do("restart-unit", params=params))

    assert why in message
    assert "restart-unit" in message or "$" in message


def test_only_whole_words_are_replaced() -> None:
    odd = action("odd", argv=("echo", "$unit", "a$unit", Ref("unit")))

    assert plan(Do("odd", params={"unit": "a.service"}), odd).steps[0].argv == (
        "echo",
        "$unit",
        "a$unit",
        "a.service",
    )


def test_a_command_that_names_no_parameter_of_its_action_is_refused() -> None:
    assert "none of its parameters" in refused(
        Do("odd", params={"unit": "a.service"}), action("odd", argv=(Ref("user"),))
    )
    assert "none of its parameters" in refused(
        Do("odd", params={"unit": "a.service"}), action("odd", argv=(Ref("unit", ("x",)),))
    )
    assert "empty command" in refused(Do("odd"), action("odd", argv=(), params={}))


def test_skip_if_is_bound_like_the_command() -> None:
    made = plan(Do("careful", params={"unit": "a.service"}), action("careful", skip_if=("test", Ref("unit"))))

    assert made.steps[0].skip_if == ("test", "a.service")


def test_the_hold_is_part_of_the_plan() -> None:
    assert plan(Do("plain", hold=Hold(HoldKind.UNTIL_CLEAR))).hold == "until-clear"
    timed = plan(Do("plain", hold=Hold(HoldKind.DURATION, 60_000)))
    assert (timed.hold, timed.hold_for) == ("duration", 60_000)


def test_undo_is_bound_on_the_same_target_and_is_not_undone_itself() -> None:
    made = plan(Do("page-on", params={"service": "shop"}))

    for step in made.steps:
        (undo,) = step.undo
        assert (undo.action, undo.target, undo.argv) == ("page-off", step.target, ("page", "off", "shop"))
        assert undo.undo == ()


def test_undo_of_a_local_step_runs_here() -> None:
    switch = action("switch", connector=Connector.LOCAL, argv=("x",), params={}, undo=Do("note"))

    assert plan(Do("switch"), switch, service=None).steps[0].undo[0].target == LOCAL


def test_undo_may_be_a_playbook() -> None:
    change = action("change", argv=("x",), params={}, undo=Do("back"))
    back = Playbook("back", "Back.", (Do("plain"), Do("note")))

    undo = plan(Do("change", at="db1"), change, back).steps[0].undo

    assert [(step.action, step.target) for step in undo] == [("plain", "db1"), ("note", LOCAL)]


def test_a_playbook_is_flattened_with_its_parameters_and_targets() -> None:
    inner = Playbook("inner", "Inner.", (Do("restart-unit", params={"unit": Ref("what")}),), {"what": UNIT})
    outer = Playbook(
        "outer",
        "Outer.",
        (Do("plain"), Do("inner", params={"what": Ref("unit")}), Do("plain", at="db1"), Do("note")),
        {"unit": UNIT},
    )

    made = plan(Do("outer", at="web2", params={"unit": Ref("service", ("unit",))}), inner, outer)

    assert [(step.action, step.target) for step in made.steps] == [
        ("plain", "web2"),
        ("restart-unit", "web2"),
        ("plain", "db1"),
        ("note", LOCAL),
    ]
    assert made.steps[1].argv[-1] == "shop.service"


def test_a_playbook_that_names_no_target_takes_the_hosts_of_the_service() -> None:
    made = plan(Do("both"), Playbook("both", "Both.", (Do("plain"),)))

    assert [step.target for step in made.steps] == ["web1", "web2"]


def test_a_parameter_of_a_playbook_wins_over_what_fired() -> None:
    book = Playbook("book", "Book.", (Do("plain", at=Ref("host")),), {"host": Param(ParamKind.HOST_NAME)})

    assert [step.target for step in plan(Do("book", params={"host": "db1"}), book).steps] == ["db1"]


def test_a_parameter_of_a_playbook_is_checked_at_its_door() -> None:
    book = Playbook("book", "Book.", (Do("plain"),), {"unit": UNIT})

    assert "book: unit" in refused(Do("book", params={"unit": "no-unit"}), book)


def test_playbooks_in_a_circle_are_refused_by_name() -> None:
    a = Playbook("a", "A.", (Do("b"),))
    b = Playbook("b", "B.", (Do("a"),))

    assert "a → b → a" in refused(Do("a"), a, b)


def test_playbooks_nested_too_deeply_are_refused() -> None:
    books = [Playbook(f"p{i}", "P.", (Do(f"p{i + 1}"),)) for i in range(30)]

    assert "deeper" in refused(Do("p0"), *books)


def test_a_plan_has_a_bounded_number_of_steps() -> None:
    many = Playbook("many", "Many.", (Do("plain"),) * (MAX_STEPS // 2 + 1))

    assert "are allowed" in refused(Do("many"), many)


def test_an_exploding_playbook_is_refused_without_being_spelled_out() -> None:
    books = [Playbook(f"x{i}", "X.", (Do(f"x{i + 1}"),) * 100) for i in range(8)]
    last = Playbook("x8", "X.", (Do("plain"),) * 100)

    assert "are allowed" in refused(Do("x0"), *books, last)


def test_an_empty_playbook_is_refused() -> None:
    assert "no steps" in refused(Do("empty"), Playbook("empty", "Empty.", ()))


@given(st.text(max_size=40))
def test_an_event_value_is_one_word_of_the_command_or_no_plan(value: str) -> None:
    VALUES["$probe.data.any"] = value
    free = action("free", argv=("echo", Ref("x")), params={"x": Param(ParamKind.PATTERN, pattern="(?s).*")})
    try:
        made = plan(Do("free", at="db1", params={"x": Ref("probe", ("data", "any"))}), free)
    except PlanError:
        return

    assert made.steps[0].argv == ("echo", value)
