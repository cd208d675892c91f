"""What became of an attempt, and what that leads to: the next step, a retry, an observation, a question."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Final

import msgspec

from holdfast.model.records import IncidentState, Outcome, OutcomeKind, Run, RunState
from holdfast.model.values import SECOND, Millis
from holdfast.pipeline import actions, locks, messages, questions
from holdfast.pipeline.work import Work
from holdfast.store import incidents, runs, timers
from holdfast.store.runs import Attempt, AttemptState
from holdfast.store.timers import Timer

#: A connection that fails proves that nothing began, so trying again is always safe.
UNREACHED_ATTEMPTS: Final = 3
BACKOFF_MAX: Final[Millis] = 300 * SECOND
#: How long a run on old evidence waits for fresh evidence before a human is asked.
GRACE: Final[Millis] = 60 * SECOND


def on_outcome(work: Work, outcome: Outcome) -> None:
    """An attempt ended, or nobody can say whether it did."""
    attempt = runs.conclude(work.tx, outcome, work.now)
    run = None if attempt is None else runs.find(work.tx, attempt.order.run)
    if attempt is None or run is None:
        return
    work.note(run.incident, "attempt", _told(attempt, outcome), msgspec.to_builtins(outcome))
    if run.state.over:
        return
    if outcome.kind is OutcomeKind.SKIPPED or (outcome.kind is OutcomeKind.ENDED and outcome.exit_code == 0):
        _step_done(work, run)
        return
    attempt = replace(attempt, number=_tries(work, attempt))
    if outcome.kind is OutcomeKind.NOT_STARTED:
        _not_started(work, run, attempt, outcome)
    elif outcome.kind is OutcomeKind.UNKNOWN:
        _unknown(work, run, attempt, outcome)
    elif attempt.order.step.idempotent and attempt.number < attempt.order.step.retry.attempts:
        _retry_later(work, run, attempt)
    else:
        _failed(
            work,
            run,
            f"{attempt.order.step.action} failed on {attempt.order.step.target}: {_ended_how(outcome)}",
            outcome,
        )


def steady(work: Work, run: Run) -> None:
    """The fault is gone; now it has to stay away for a while."""
    verify = run.plan.steps[-1].verify
    timers.cancel(work.tx, "verify", run.id)
    timers.put(work.tx, Timer("steady", run.id, work.now + (verify.steady if verify else 0)))


def _step_done(work: Work, run: Run) -> None:
    if run.step + 1 < len(run.plan.steps):
        actions.go_on(work, replace(run, step=run.step + 1))
        return
    verify = run.plan.steps[-1].verify
    if verify is None:
        actions.end(work, run, RunState.VERIFIED, "done (nothing to observe was declared)")
        return
    incident = incidents.find(work.tx, run.incident)
    over = incident is not None and incident.state is not IncidentState.OPEN
    if over and not _observed(work, run.incident):
        actions.end(work, run, RunState.CANCELLED, "nobody observes any more whether it helped")
        return
    runs.change(work.tx, run.id, work.now, state=RunState.VERIFYING)
    if over:
        steady(work, run)
        return
    timers.put(work.tx, Timer("verify", run.id, work.now + verify.within))
    work.note(run.incident, "verifying", f"{run.plan.name} ran; now the fault is observed", {"run": run.id})


def _observed(work: Work, incident: str) -> bool:
    """Whether an incident that is over was seen to clear: a word or its rule's removal may have ended it."""
    told = incidents.story(work.tx, incident, "cleared")
    return not told or bool(told[-1].data.get("observed", True))


def _not_started(work: Work, run: Run, attempt: Attempt, outcome: Outcome) -> None:
    old = attempt.created < work.started_at and run.step == 0 and attempt.number == 1
    if old and attempt.order.step.fresh and run.part != actions.UNDO:
        hold_for_grace(work, run)
    elif attempt.number < max(UNREACHED_ATTEMPTS, attempt.order.step.retry.attempts):
        _retry_later(work, run, attempt)
    else:
        _failed(work, run, f"{attempt.order.step.target} could not be reached", outcome)


def hold_for_grace(work: Work, run: Run) -> None:
    """The evidence is older than this start: wait for fresh evidence, or ask after a minute."""
    runs.cancel(work.tx, run.id, work.now)
    runs.change(work.tx, run.id, work.now, state=RunState.WAITING)
    timers.put(work.tx, Timer("grace", run.id, work.now + GRACE))
    work.note(
        run.incident,
        "held",
        f"{run.plan.name} waits for fresh evidence: the daemon was restarted",
        {"run": run.id},
    )


def _unknown(work: Work, run: Run, attempt: Attempt, outcome: Outcome) -> None:
    step = attempt.order.step
    if step.idempotent and attempt.number <= step.retry.attempts:
        _retry_later(work, run, attempt)
        return
    cause = actions.cause_of(work, run)
    locks.lock(work, step.target, run.id)
    actions.end(
        work,
        run,
        RunState.UNKNOWN,
        f"nobody can say whether {step.action} ran on {step.target}: {outcome.detail}",
    )
    if cause is not None:
        questions.ask_unknown(work, cause, run, step)
    else:
        actions.hand_over(work, run, f"nobody can say whether {step.action} ran on {step.target}: look there")


def _tries(work: Work, attempt: Attempt) -> int:
    """How often a step has been tried; an attempt that was taken back is no try."""
    return sum(
        other.step == attempt.step and other.state is not AttemptState.CANCELLED
        for other in runs.attempts_of(work.tx, attempt.order.run)
    )


def _failed(work: Work, run: Run, why: str, outcome: Outcome) -> None:
    actions.end(work, run, RunState.FAILED, why)
    incident = incidents.find(work.tx, run.incident)
    if incident is not None:
        messages.failed(work, incident, run, outcome)


def _retry_later(work: Work, run: Run, attempt: Attempt) -> None:
    retry = attempt.order.step.retry
    pause = min(retry.backoff * retry.factor ** (attempt.number - 1), BACKOFF_MAX)
    if retry.jitter:
        # from the attempt's id, not from chance: the same journal gives the same pauses
        pause *= 0.75 + (zlib.crc32(attempt.order.id.encode()) % 1000) / 2000
    timers.put(work.tx, Timer("retry", run.id, work.now + int(pause)))
    runs.change(work.tx, run.id, work.now, state=RunState.RUNNING)


def _told(attempt: Attempt, outcome: Outcome) -> str:
    step = attempt.order.step
    return f"{step.action} on {step.target}, attempt {attempt.number}: {_ended_how(outcome)}"


def _ended_how(outcome: Outcome) -> str:
    how = f"exit code {outcome.exit_code}" if outcome.kind is OutcomeKind.ENDED else str(outcome.kind)
    receipt = f", receipt {outcome.digest[:8]}" if outcome.digest else ""
    return f"{how}{receipt}" + (f" ({outcome.detail})" if outcome.detail else "")
