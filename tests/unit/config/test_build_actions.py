from __future__ import annotations

from tests.unit.config.conftest import Load, Problems

from holdfast.model.actions import Action, Connector, Param, ParamKind, Playbook, Retry, Risk, Touches, Verify
from holdfast.model.rules import Do
from holdfast.model.values import MINUTE, SECOND, Ref

ACTION = """
action: block
doc: Block an address.
local: {argv: [sudo, -n, fw, block, $ip, --for, $hours, "$$x"]}
params:
  ip: {type: ip, never_in: [$estate.own_ips, 127.0.0.1]}
  hours: {type: int, min: 1, max: 24}
skip_if: [fw, is-blocked, $ip]
verify: none
undo: {do: unblock, with: {ip: $ip}}
touches: [access, availability]
risk: medium
idempotent: true
deadline: 5s
retry: {attempts: 3, backoff: 500ms, factor: 1.5, jitter: false}
fresh: none
---
action: unblock
doc: Let an address in again.
local: {argv: [sudo, -n, fw, unblock, $ip]}
params: {ip: {type: ip}}
undo: none
irreversible: true
touches: [access]
risk: high
"""
PLAYBOOK = """
playbook: {name}
doc: Several.
params: {{ip: {{type: ip}}}}
steps: [{steps}]
"""


def test_actions_are_built_with_everything(snapshot: Load) -> None:
    found = snapshot(ACTION).actions

    assert found["block"] == Action(
        name="block",
        doc="Block an address.",
        connector=Connector.LOCAL,
        argv=("sudo", "-n", "fw", "block", Ref("ip"), "--for", Ref("hours"), "$x"),
        touches=frozenset({Touches.ACCESS, Touches.AVAILABILITY}),
        risk=Risk.MEDIUM,
        params={
            "ip": Param(ParamKind.IP, never_in=("10.0.0.5", "127.0.0.1")),
            "hours": Param(ParamKind.INT, minimum=1, maximum=24),
        },
        skip_if=("fw", "is-blocked", Ref("ip")),
        verify=None,
        undo=Do("unblock", params={"ip": Ref("ip")}),
        idempotent=True,
        deadline=5 * SECOND,
        retry=Retry(3, 500, 1.5, jitter=False),
        fresh=False,
        where="rules/document0.yaml:2",
    )


def test_what_an_action_does_not_say_has_its_default(snapshot: Load) -> None:
    found = snapshot(ACTION).actions["unblock"]

    assert (found.verify, found.deadline, found.retry) == (Verify(90 * SECOND, 30 * SECOND), MINUTE, Retry())
    assert (found.skip_if, found.undo, found.idempotent, found.irreversible, found.fresh) == (
        None,
        None,
        False,
        True,
        True,
    )


def test_a_playbook_is_built(snapshot: Load) -> None:
    steps = "{do: block, at: web2, with: {ip: $ip, hours: 5}}, {do: page-up}"

    found = snapshot(ACTION, PLAYBOOK.format(name="both", steps=steps)).playbooks

    assert found == {
        "both": Playbook(
            "both",
            "Several.",
            (Do("block", "web2", {"ip": Ref("ip"), "hours": 5}), Do("page-up")),
            {"ip": Param(ParamKind.IP)},
            "rules/document1.yaml:2",
        )
    }


def test_playbooks_may_nest_and_share(snapshot: Load) -> None:
    inner = PLAYBOOK.format(name="inner", steps="{do: page-up}, {do: unblock, with: {ip: $ip}}")
    outer = PLAYBOOK.format(
        name="outer", steps="{do: inner, with: {ip: $ip}}, {do: inner, with: {ip: 10.1.1.1}}"
    )

    assert set(snapshot(ACTION, inner, outer).playbooks) == {"inner", "outer"}


def test_every_cycle_of_playbooks_is_found_once(problems: Problems) -> None:
    def calling(name: str, *others: str) -> str:
        return PLAYBOOK.format(
            name=name, steps=", ".join(f"{{do: {other}, with: {{ip: $ip}}}}" for other in others)
        )

    lines = problems(
        calling("a", "b"),
        calling("b", "c"),
        calling("c", "a"),
        calling("d", "d"),
        calling("e", "a"),
        calling("f", "g", "h"),
        calling("g", "h"),
        calling("h", "f"),
    )

    assert [line.rpartition("cycle: ")[2] for line in lines] == [
        "a → b → c → a (a playbook cannot run itself)",
        "d → d (a playbook cannot run itself)",
        "f → h → f (a playbook cannot run itself)",
    ]


def test_many_playbooks_that_call_one_another_are_judged_quickly(problems: Problems) -> None:
    names = [f"p{number}" for number in range(30)]
    everyone = ", ".join(f"{{do: {name}, with: {{ip: $ip}}}}" for name in names)

    lines = problems(*(PLAYBOOK.format(name=name, steps=everyone) for name in names))

    assert any("a cycle" in line for line in lines)


def test_playbooks_without_a_cycle_are_judged_quickly_however_they_nest(
    snapshot: Load, problems: Problems
) -> None:
    def ladder(length: int) -> list[str]:
        rungs = [
            PLAYBOOK.format(
                name=f"p{number}",
                steps=", ".join(
                    f"{{do: p{other}, with: {{ip: $ip}}}}" for other in range(number + 1, length + 1)
                ),
            )
            for number in range(length)
        ]
        return [*rungs, PLAYBOOK.format(name=f"p{length}", steps="{do: page-up}")]

    assert len(snapshot(*ladder(8)).playbooks) == 9
    assert all("more than 200 steps" in line for line in problems(*ladder(40)))


def test_an_action_and_its_undo_may_undo_each_other(snapshot: Load) -> None:
    pair = """
action: on
doc: On.
ssh: {argv: [switch, on]}
undo: {do: off}
touches: [availability]
risk: medium
---
action: off
doc: Off.
ssh: {argv: [switch, off]}
undo: {do: on}
touches: [availability]
risk: medium
"""

    assert snapshot(pair).actions["on"].undo == Do("off")


def test_the_mistakes_of_an_action_are_all_found(problems: Problems) -> None:
    wrong = (
        ACTION.replace("block, $ip, --for", "block, $addr, --for")
        .replace("is-blocked, $ip", "is-blocked, x=$ip")
        .replace("{do: unblock, with: {ip: $ip}}", "{do: unblok, with: {ip: $ip}}")
        .replace("{type: int, min: 1, max: 24}", "{type: int, min: 25, max: 24}")
    )

    assert [line.split(": ", 2)[1] for line in problems(wrong)] == [
        "local.argv[4]",
        "params.hours.min",
        "skip_if[2]",
        "undo.do",
    ]
