"""The policies that are always in force, as plain data with names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.model.actions import Touches
from holdfast.model.conditions import AllOf, Compare, Op, Over
from holdfast.model.policies import BlastOf, BlastRadius, Effect, EffectPolicy, Limit, Policy
from holdfast.model.values import HOUR

#: What only a human may let happen, whatever any policy or envelope says.
MANDATED_TOUCHES: Final = frozenset({Touches.DATA, Touches.SCHEMA, Touches.MONEY, Touches.LEGAL})

#: Names of voices that belong to no policy document; a config may declare no policy that starts so.
PREFIX: Final = "builtin-"
ENVELOPE: Final = "builtin-envelope"
MODE: Final = "builtin-mode"
GUARD: Final = "builtin-guard"
LOCK: Final = "builtin-target-lock"
KILL_SWITCH: Final = "builtin-kill-switch"
NO_STEPS: Final = "builtin-no-steps"
APPROVAL: Final = "builtin-approval"

_ALWAYS: Final = AllOf(())

BUILTIN: Final[tuple[Policy, ...]] = (
    EffectPolicy(
        name="builtin-human-mandated",
        doc="What touches data, schema, money or legal always needs a human.",
        match=Compare("touches", Op.IN, tuple(sorted(str(item) for item in MANDATED_TOUCHES)), Over.ANY),
        effect=Effect.HUMAN,
    ),
    EffectPolicy(
        name="builtin-irreversible",
        doc="What cannot be undone always needs a human.",
        match=Compare("irreversible", Op.EQ, operand=True),
        effect=Effect.HUMAN,
    ),
    Limit(
        name="builtin-rate",
        doc="One action on one target, at most three times an hour.",
        match=_ALWAYS,
        per=("action", "target"),
        max=3,
        within=HOUR,
    ),
    BlastRadius(
        name="builtin-one-target",
        doc="One target of a service at a time.",
        match=_ALWAYS,
        of=BlastOf.SERVICE,
        at_once=1,
    ),
    BlastRadius(
        name="builtin-blast-radius",
        doc="At most a fifth of a group at a time.",
        match=_ALWAYS,
        of=BlastOf.GROUP,
        percent=20,
    ),
)


def in_force(policies: Sequence[Policy]) -> tuple[Policy, ...]:
    """Return the policies of the config and the built-in ones that none of them replaces.

    A limit replaces a built-in limit, a blast radius a built-in blast radius; nothing else is replaced.
    """
    taken = {
        (type(policy), policy.replaces)
        for policy in policies
        if isinstance(policy, Limit | BlastRadius) and policy.replaces is not None
    }
    kept = tuple(policy for policy in BUILTIN if (type(policy), policy.name) not in taken)
    return (*kept, *policies)
