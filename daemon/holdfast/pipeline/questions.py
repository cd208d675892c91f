"""Asking the operator: a question is on disk before its card is sent."""

from __future__ import annotations

from dataclasses import replace

from holdfast.gate.basis import Basis, basis
from holdfast.gate.card import card
from holdfast.model.actions import Plan, PlannedStep
from holdfast.model.policies import Verdict
from holdfast.model.records import Choice, Gate, GateState, Run, RunState
from holdfast.model.values import MINUTE, Millis
from holdfast.pipeline import messages, verdicts
from holdfast.pipeline.work import Cause, Work
from holdfast.store import gates, incidents, runs, timers
from holdfast.store.timers import Timer

APPROVE, DENY = "approve", "deny"
RUN_AGAIN, LEAVE = "run-again", "leave"
LEAVE_WITHIN: Millis = 30 * MINUTE


def ask(
    work: Work,
    cause: Cause,
    question: str,
    choices: tuple[Choice, ...],
    *,
    silence: str,
    within: Millis,
    run: str | None = None,
    verdict: Verdict | None = None,
    changed: str = "",
) -> None:
    """Write a question, its expiry and one card for each operator."""
    gate = Gate(
        id=work.new_id("g"),
        incident=cause.incident.id,
        rule=cause.rule.name,
        question=question,
        choices=choices,
        silence=silence,
        basis=basis_now(work, cause, choices, run).digest,
        state=GateState.PENDING,
        created=work.now,
        expires=work.now + within,
        run=run,
    )
    gates.insert(work.tx, gate)
    timers.put(work.tx, Timer("gate", gate.id, gate.expires))
    work.note(
        cause.incident.id, "question", question, {"gate": gate.id, "choices": [c.name for c in choices]}
    )
    verdict = verdict or verdicts.of_choices(work, cause, choices, run)
    evidence = incidents.story(work.tx, cause.incident.id, "evidence")
    told = False
    for operator in work.snapshot.operators:
        words = card(
            cause.incident,
            gate,
            evidence=evidence,
            verdict=verdict,
            commit=work.snapshot.commit,
            operator=operator,
            now=work.now,
            unknown_guards=cause.unknown_guards,
            changed=changed,
        )
        told = messages.send(work, cause.incident, words, operator, gate=gate.id) or told
    if not told:
        work.note(
            cause.incident.id,
            "message",
            "nobody to ask: no operator has a channel; answer with `holdfast answer`",
        )


def ask_leave(work: Work, cause: Cause, run: Run, verdict: Verdict, changed: str = "") -> None:
    """Ask whether a run may go on; silence is no."""
    question = f"{run.plan.name} needs your word: {verdict.voices[0].why}"
    choices = (Choice(APPROVE, _rest(run)), Choice(DENY))
    within = verdict.within or LEAVE_WITHIN
    ask(
        work,
        cause,
        question,
        choices,
        silence=DENY,
        within=within,
        run=run.id,
        verdict=verdict,
        changed=changed,
    )


def ask_held(work: Work, cause: Cause, run: Run, why: str) -> None:
    """Ask whether a run that was held back is still wanted; silence is no."""
    question = f"{why}. Is {run.plan.name} still wanted?"
    ask(
        work,
        cause,
        question,
        (Choice(APPROVE, _rest(run)), Choice(DENY)),
        silence=DENY,
        within=LEAVE_WITHIN,
        run=run.id,
    )


def ask_unknown(work: Work, cause: Cause, run: Run, step: PlannedStep) -> None:
    """Nobody knows whether a step ran: only a human may say whether to run it again."""
    question = f"Nobody can say whether {step.action} ran on {step.target}. Look there, then: run it again?"
    choices = (Choice(RUN_AGAIN, replace(_rest(run), hold=None, hold_for=None)), Choice(LEAVE))
    ask(work, cause, question, choices, silence=LEAVE, within=LEAVE_WITHIN)


def about_unknown(gate: Gate) -> bool:
    """Whether a question is about an unknown end: its answer frees the target."""
    return gate.run is None and [choice.name for choice in gate.choices] == [RUN_AGAIN, LEAVE]


def ask_again(work: Work, cause: Cause, gate: Gate, changed: str) -> None:
    """The basis of a question changed: it is void, and a new card says what changed."""
    if gates.end(work.tx, gate.id, GateState.VOID):
        timers.cancel(work.tx, "gate", gate.id)
        within = max(gate.expires - work.now, 5 * MINUTE)
        ask(
            work,
            cause,
            gate.question,
            gate.choices,
            silence=gate.silence,
            within=within,
            run=gate.run,
            changed=changed,
        )


def ask_late(work: Work, cause: Cause, gate: Gate) -> None:
    """An answer came after the question had ended: ask it once more."""
    if gate.run is not None:
        runs.change(work.tx, gate.run, work.now, state=RunState.ASKING)
    ask(
        work,
        cause,
        gate.question,
        gate.choices,
        silence=gate.silence,
        within=gate.expires - gate.created,
        run=gate.run,
        changed="Your answer came after the last card had expired.",
    )


def _rest(run: Run) -> Plan:
    """What an approval lets run: the steps that are not done yet."""
    return replace(run.plan, steps=run.plan.steps[run.step :])


def basis_now(work: Work, cause: Cause, choices: tuple[Choice, ...], run: str | None) -> Basis:
    """What an answer to these choices rests on at this moment."""
    targets = {step.target for choice in choices if choice.plan is not None for step in choice.plan.steps}
    others = [other for other in runs.acting_on(work.tx, targets) if other != run]
    return basis(choices, cause.incident.state, others, verdicts.of_choices(work, cause, choices, run))
