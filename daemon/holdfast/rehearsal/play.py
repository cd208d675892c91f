"""Three outages before one's eyes: contained, asked about by mail, and handled a new way after a push."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.model.records import TimelineItem
from holdfast.rehearsal.ending import Ended, Ending
from holdfast.rehearsal.screen import Screen
from holdfast.rehearsal.stage import OPERATOR, Stage, stage
from holdfast.store import facts, incidents
from holdfast.store.database import Database

_CODE: Final = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}\b")
_LOOK_EVERY: Final = 0.05
WITHIN: Final = 45.0
#: What a shell gives for a command that Ctrl-C ended.
_INTERRUPTED: Final = 130

NEW_CONTAIN: Final = """contain:
  - {do: show-page, at: $service.hosts, hold: until-clear}
  - {do: restart-shop, at: $service.hosts}
"""


def rehearse(screen: Screen, *, stay: bool) -> int:
    """Play the three acts; with `stay` the daemon is left up until Ctrl-C. The exit code."""
    began = time.monotonic()
    screen.say("Holdfast rehearses one evening of a company of one. All of it is real and on this machine:")
    ending = Ending()

    def say(what: str) -> None:
        ending.check()
        screen.say(f"  · {what}", "dim")

    try:
        with ending, stage(say) as scene:
            play = _Play(scene, screen, ending)
            play.show_config()
            play.first_outage()
            play.second_outage()
            play.third_outage()
            play.show_records()
            screen.say(
                f"\nThree outages, three endings, in {time.monotonic() - began:.0f} seconds.", "bold green"
            )
            if stay:
                _stay(play, screen)
    except (HoldfastError, Ended, subprocess.CalledProcessError) as error:
        # a program that was just being started hears Ctrl-C too: that is no failure of its own
        if not ending.asked:
            screen.say(f"\nThe rehearsal failed: {error}", "bold red")
            return 1
        screen.say("\nEnded before the last act. Everything was stopped and removed.", "bold red")
        return _INTERRUPTED
    screen.say("Everything was stopped and removed.", "dim")
    return 0


class _Play:
    """The acts, with the timeline running along."""

    def __init__(self, scene: Stage, screen: Screen, ending: Ending) -> None:
        self.scene = scene
        self.screen = screen
        self.ending = ending
        self._seen = 0
        self._database = Database.open(scene.state / "holdfast.db", lock=False)

    def show_config(self) -> None:
        """What the daemon has been told, before anything happens."""
        rule = (self.scene.work / "rules/shop.yaml").read_text(encoding="utf-8")
        policy = (self.scene.work / "policies/envelopes.yaml").read_text(encoding="utf-8")
        self.screen.code("rules/shop.yaml", rule, "yaml")
        self.screen.code("policies/envelopes.yaml", policy, "yaml")

    def first_outage(self) -> None:
        """A crash that a restart heals."""
        self.screen.act(
            1, "The shop crashes", "A restart is allowed for a service that is down: nobody is woken."
        )
        self.screen.step("the shop's process is killed")
        self.scene.on_host("crash")
        self.until("verified", "restart-shop")

    def second_outage(self) -> None:
        """A bad release: the restart does not help, and a card asks."""
        self._wait_for_close()
        self.screen.act(
            2,
            "A release breaks it",
            "The restart runs, but the fault stays: success is what is observed, not exit code 0.",
        )
        self.screen.step("release v2 is deployed, and answers every request with an error")
        self.scene.on_host("deploy", "v2")
        self.until("ineffective", "restart-shop")
        self.until("question", "Roll shop back")
        mail = self._card()
        self.screen.code(f"mail to {mail['To']}: {mail['Subject']}", _text(mail), "text")
        found = _CODE.search(_text(mail))
        if found is None:
            raise HoldfastError("the card has no reply code")
        words = f"roll-back {found[0]}"
        self.screen.step(f"the founder answers from the phone's mail program: “{words}”")
        self._reply(mail, words)
        self.until("answer", "roll-back")
        self.until("verified", "roll-back-shop")

    def third_outage(self) -> None:
        """A push changes the rule; the same crash is handled the new way."""
        self._wait_for_close()
        self.screen.act(
            3,
            "A push changes the playbook",
            "Customers shall see a page instead of an error while the shop restarts.",
        )
        file = self.scene.work / "rules/shop.yaml"
        rule = file.read_text(encoding="utf-8")
        old = rule[rule.index("contain:") : rule.index("then:")]
        file.write_text(rule.replace(old, NEW_CONTAIN.replace("show-page", "show-pge")), encoding="utf-8")
        refused = self.scene.push("show a page while the shop restarts")
        self.screen.code("git push, with a slip of the pen", refused.stderr, "text")
        if refused.returncode == 0:
            raise HoldfastError("a config that names an unknown action was accepted")
        self.scene.take_back()
        file.write_text(rule.replace(old, NEW_CONTAIN), encoding="utf-8")
        pushed = self.scene.push("show a page while the shop restarts")
        self.screen.code("git push, corrected", pushed.stderr, "text")
        if pushed.returncode != 0:
            raise HoldfastError("the corrected config was refused")
        self._wait_for_commit()
        self.screen.step("the shop's process is killed again")
        self.scene.on_host("crash")
        self.until("hold", "show-page")
        self.until("released", "show-page")
        self.until("verified", "undo show-page", "restart-shop")

    def show_records(self) -> None:
        """The incidents, as they are remembered."""
        self.screen.act(
            4, "What is remembered", "One record for each outage; `holdfast show` tells the whole story."
        )
        with self._database.read() as tx:
            found = incidents.listed(tx)
            for incident in reversed(found):
                story = incidents.story(tx, incident.id)
                lines = [f"{item.kind:<12} {item.text}" for item in story if item.kind in _TOLD]
                head = f"{incident.id}  {incident.type}  {incident.state}  commit {story[0].commit[:12]}"
                self.screen.code(head, "\n".join(lines), "text")

    def until(self, kind: str, *words: str) -> None:
        """Show the timeline until each of the words was in a line of this kind; else HoldfastError."""
        missing = set(words)
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            for item in self.follow():
                if item.kind == kind:
                    missing -= {word for word in missing if word in item.text}
            if not missing:
                return
            self._still_up()
            time.sleep(_LOOK_EVERY)
        raise HoldfastError(f"no {kind!r} about {sorted(missing)} within {WITHIN:.0f} s; see {self._log()}")

    def follow(self) -> list[TimelineItem]:
        """Show what is new and return it, up to the first line that somebody may be waiting for.

        Raises Ended when somebody does not want to see more.
        """
        self.ending.check()
        with self._database.read() as tx:
            new = incidents.tail(tx, self._seen, 1)
        for number, item in new:
            self._seen = number
            self.screen.item(item)
        return [item for _, item in new]

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _card(self) -> EmailMessage:
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            for mail in self.scene.mail.read(OPERATOR):
                if mail["Reply-To"] and _CODE.search(_text(mail)):
                    return mail
            self.follow()
            time.sleep(_LOOK_EVERY)
        raise HoldfastError(f"no card came by mail within {WITHIN:.0f} s; see {self._log()}")

    def _reply(self, card: EmailMessage, words: str) -> None:
        answer = EmailMessage()
        sender = self.scene.mail.address(OPERATOR)
        answer["From"], answer["To"], answer["Subject"] = sender, card["Reply-To"], f"Re: {card['Subject']}"
        answer["Message-ID"] = f"<rehearsal-{time.monotonic_ns()}@{self.scene.mail.domain}>"
        quoted = "\n".join(f"> {line}" for line in _text(card).splitlines())
        answer.set_content(f"{words}\n\n{quoted}\n")
        self.scene.mail.submit(OPERATOR, answer, str(card["Reply-To"]), sender)

    def _wait_for_close(self) -> None:
        self._wait(lambda: not self._live(), "the incident to close")

    def _wait_for_commit(self) -> None:
        head = (self.scene.work / ".git/refs/heads/main").read_text(encoding="ascii").strip()
        self._wait(lambda: self._commit() == head, f"the daemon to take over {head[:12]}")
        self.screen.step(f"the daemon decides by commit {head[:12]} from now on")

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            self.follow()
            if done():
                return
            time.sleep(_LOOK_EVERY)
        raise HoldfastError(f"waited {WITHIN:.0f} s for {what}; see {self._log()}")

    def _live(self) -> bool:
        with self._database.read() as tx:
            return any(incident.state != "closed" for incident in incidents.listed(tx))

    def _commit(self) -> str | None:
        with self._database.read() as tx:
            return facts.get(tx, "commit")

    def _still_up(self) -> None:
        if self.scene.daemon.poll() is not None:
            log = (self.scene.state / "daemon.log").read_text(encoding="utf-8", errors="replace")
            raise HoldfastError(f"the daemon died:\n{log[-3000:]}")

    def _log(self) -> str:
        log = (self.scene.state / "daemon.log").read_text(encoding="utf-8", errors="replace")
        return f"its log:\n{log[-2000:]}"


_TOLD: Final = frozenset(
    {
        "opened",
        "decided",
        "attempt",
        "ineffective",
        "answer",
        "hold",
        "released",
        "cleared",
        "verified",
        "closed",
    }
)


def _stay(play: _Play, screen: Screen) -> None:
    scene = play.scene
    screen.say(
        f"\nThe daemon stays up. In another terminal:\n"
        f"  export HOLDFAST_STATE={scene.state} HOLDFAST_CONFIG={scene.server}\n"
        f"  .venv/bin/holdfast incidents\n"
        f"  .venv/bin/python -m holdfast.rehearsal.shop {scene.shop} crash\n"
        f"Ctrl-C ends it and removes everything."
    )
    with contextlib.suppress(Ended):
        while True:
            play.follow()
            time.sleep(_LOOK_EVERY)


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(preferencelist=("plain",))
    return "" if body is None else str(body.get_content())
