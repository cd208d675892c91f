"""Answering: the operator's word on a question, over the daemon's control socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from holdfast.cli.act import ACTS, GROUP
from holdfast.cli.completion import a_question
from holdfast.cli.door import (
    REFUSED,
    AsJson,
    Command,
    Config,
    NotFound,
    Place,
    Refused,
    State,
    interactive,
    now,
    place,
    reading,
    say,
    show,
    snapshot,
)
from holdfast.errors import ConfigError, HoldfastError, InputError

if TYPE_CHECKING:
    from holdfast.cli.client import Daemon, Journalled
    from holdfast.cli.views import QuestionLine, QuestionList

APPROVE, DENY = "approve", "deny"
#: What a reply may amount to when it was taken.
_TAKEN: Final = frozenset({"accepted", "denied"})

Asked = Annotated[
    str,
    typer.Argument(metavar="ID", autocompletion=a_question, help="A question, or an incident that has one."),
]
Who = Annotated[
    str | None,
    typer.Option(
        "--operator",
        metavar="NAME",
        envvar="HOLDFAST_OPERATOR",
        help="Who answers; needed when there are several.",
    ),
]


@dataclass(frozen=True, slots=True)
class Answered:
    """What the daemon made of an answer; `kind` is accepted, denied, or why it was not taken."""

    question: str
    choice: str
    operator: str
    kind: str
    receipt: str
    seq: int


def approve(
    ctx: typer.Context,
    asked: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            show_default=False,
            autocompletion=a_question,
            help="A question or an incident; without it, list what waits.",
        ),
    ] = None,
    operator: Who = None,
    config: Config = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to a question, or list what waits.

    What the question shows starts then, if policies still let it. Without an ID it lists the
    questions that wait, with the exact commands; if there is just one and you sit at a terminal, it
    asks. An approval is bound to what you were shown: when that has changed since, nothing runs and
    a new question comes.
    """
    where = place(ctx, config, state)
    if asked is not None:
        question = _question(where, asked)
        _answer(where, question, _yes(question), operator, as_json=as_json)
        return
    waiting = _waiting(where)
    from holdfast.cli.render import lists

    show(waiting, lists.questions(waiting, now()), as_json=as_json)
    if len(waiting.pending) == 1 and not as_json and interactive():
        question = waiting.pending[0]
        choice = _yes(question)
        if typer.confirm(f"\nAnswer {choice}?"):
            _answer(where, question, choice, operator, as_json=False)
        else:
            say("Nothing was answered.")


def deny(
    ctx: typer.Context,
    asked: Asked,
    operator: Who = None,
    config: Config = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Say no to a question.

    Nothing runs, and the incident stays open until it is seen to clear.
    """
    where = place(ctx, config, state)
    _answer(where, _question(where, asked), DENY, operator, as_json=as_json)


def answer(
    ctx: typer.Context,
    asked: Asked,
    choice: Annotated[str, typer.Argument(metavar="CHOICE", help="One of the choices of the question.")],
    operator: Who = None,
    config: Config = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question with one of its choices.

    Prints the daemon's receipt. Exits with 5 when the answer was not taken, and says why.
    """
    where = place(ctx, config, state)
    question = _question(where, asked)
    names = [item.name for item in question.choices]
    if choice not in {*names, DENY}:
        raise InputError(f"{choice!r} is no choice of {question.id}: answer with {' or '.join(names)}")
    _answer(where, question, choice, operator, as_json=as_json)


def _question(where: Place, wanted: str) -> QuestionLine:
    from holdfast.cli.views import find_question, question_line

    with reading(where) as tx:
        return question_line(find_question(tx, wanted))


def _waiting(where: Place) -> QuestionList:
    from holdfast.cli.views import question_list

    with reading(where) as tx:
        return question_list(tx)


def _yes(question: QuestionLine) -> str:
    """The choice that approving means: the one called so, else the only one that runs something."""
    names = [choice.name for choice in question.choices]
    if APPROVE in names:
        return APPROVE
    running = [choice.name for choice in question.choices if choice.plan is not None]
    if len(running) == 1:
        return running[0]
    raise InputError(
        f"{question.id} is no question of yes or no: `holdfast answer {question.id} {'|'.join(names)}`"
    )


def _answer(
    where: Place, question: QuestionLine, choice: str, operator: str | None, *, as_json: bool
) -> None:
    from holdfast.cli.client import Daemon

    daemon = Daemon(where.socket)
    who = operator or _operator(where, daemon)
    view = _answered(daemon.reply(question.id, choice, who), question, choice, who)
    show(view, (view.receipt,), as_json=as_json)
    if view.kind not in _TAKEN:
        raise typer.Exit(REFUSED)


def _answered(done: Journalled, question: QuestionLine, choice: str, who: str) -> Answered:
    result = done.decided("the answer").result
    said = result if isinstance(result, dict) else {}
    kind, receipt = said.get("kind"), said.get("receipt")
    if not isinstance(kind, str) or not isinstance(receipt, str):
        raise HoldfastError("the daemon gave no receipt: see `holdfast show` for what it made of the answer")
    if kind == "not-found":
        raise NotFound(receipt)
    return Answered(question.id, choice, who, kind, receipt, done.seq)


def _operator(where: Place, daemon: Daemon) -> str:
    """The only operator that there is. Raises InputError when somebody has to choose."""
    said = daemon.status().get("operators")
    known = [str(name) for name in said] if isinstance(said, list) else _declared(where)
    if not known:
        raise Refused("the config declares no operator: add one to holdfast.yaml, then answer")
    if len(known) > 1:
        raise InputError(f"who answers? Say --operator {' or --operator '.join(known)}")
    return known[0]


def _declared(where: Place) -> list[str]:
    try:
        return sorted(snapshot(where).operators)
    except ConfigError as error:
        raise InputError(
            f"who answers? Say --operator NAME: the config in {where.config} cannot be read now"
        ) from error


COMMANDS: Final = (
    Command(
        "approve",
        approve,
        GROUP,
        ("holdfast.cli.answer:Answered", "holdfast.cli.views:QuestionList"),
        ("holdfast approve", "holdfast approve i41", "holdfast approve g44"),
        ACTS,
    ),
    Command("deny", deny, GROUP, ("holdfast.cli.answer:Answered",), ("holdfast deny i41",), ACTS),
    Command(
        "answer", answer, GROUP, ("holdfast.cli.answer:Answered",), ("holdfast answer g44 roll-back",), ACTS
    ),
)
