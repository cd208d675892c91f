"""From one `do` to the commands that it stands for: pure, and complete before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from holdfast.conditions import Missing
from holdfast.errors import PlanError
from holdfast.execute.params import check
from holdfast.model.actions import Action, Connector, Param, Plan, PlannedStep, Playbook, Service
from holdfast.model.rules import Do
from holdfast.model.snapshot import Snapshot
from holdfast.model.values import Json, Ref, Scalar, Value

#: The target of a step that runs on the daemon's own machine.
LOCAL: Final = "local"
MAX_STEPS: Final = 200
MAX_DEPTH: Final = 10

Resolve = Callable[[Ref], Json | Missing]
Bound = Mapping[str, str]


def bind(do: Do, *, snapshot: Snapshot, resolve: Resolve, service: Service | None) -> Plan:
    """The plan of one `do`: playbooks flattened, targets from the estate, parameters checked.

    `resolve` answers `$alias.path`; `service` is the one whose hosts are taken where `at` is
    missing. Raises PlanError with a sentence for the operator.
    """
    binder = _Binder(snapshot, resolve, service)
    steps = _bounded(do, binder.steps(do, _Frame()))
    if not steps:
        raise PlanError(f"{do.action} has no steps")
    if do.hold is None:
        return Plan(do.action, steps)
    return Plan(do.action, steps, str(do.hold.kind), do.hold.duration)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What surrounds a `do`: the parameters it can name, its targets, and the playbooks it is in."""

    params: Bound | None = None
    targets: tuple[str, ...] | None = None
    inside: tuple[str, ...] = ()
    undoing: bool = False


@dataclass(frozen=True, slots=True)
class _Binder:
    snapshot: Snapshot
    resolve: Resolve
    service: Service | None

    def steps(self, do: Do, frame: _Frame) -> Iterator[PlannedStep]:
        """Every step of a `do`, in order."""
        action = self.snapshot.actions.get(do.action)
        if action is not None:
            yield from self._of_action(action, do, frame)
            return
        playbook = self.snapshot.playbooks.get(do.action)
        if playbook is None:
            raise PlanError(f"there is no action or playbook named {do.action}")
        yield from self._of_playbook(playbook, do, frame)

    def _of_playbook(self, playbook: Playbook, do: Do, frame: _Frame) -> Iterator[PlannedStep]:
        inside = (*frame.inside, playbook.name)
        if playbook.name in frame.inside:
            raise PlanError(f"the playbook {playbook.name} runs itself: {' → '.join(inside)}")
        if len(inside) > MAX_DEPTH:
            raise PlanError(f"playbooks are nested deeper than {MAX_DEPTH}: {' → '.join(inside)}")
        params = self._params(playbook.name, playbook.params, do.params, frame)
        targets = frame.targets if do.at is None else self._at(do, frame)
        for step in playbook.steps:
            yield from self.steps(step, _Frame(params, targets, inside, frame.undoing))

    def _of_action(self, action: Action, do: Do, frame: _Frame) -> Iterator[PlannedStep]:
        params = self._params(action.name, action.params, do.params, frame)
        argv = _words(action, action.argv, params)
        skip_if = None if action.skip_if is None else _words(action, action.skip_if, params)
        for target in self._targets(action, do, frame):
            yield PlannedStep(
                action=action.name,
                connector=action.connector,
                target=target,
                argv=argv,
                params=params,
                risk=action.risk,
                touches=tuple(sorted(action.touches)),
                idempotent=action.idempotent,
                irreversible=action.irreversible,
                deadline=action.deadline,
                retry=action.retry,
                verify=action.verify,
                fresh=action.fresh,
                skip_if=skip_if,
                undo=self._undo(action, params, target, frame),
            )

    def _undo(self, action: Action, params: Bound, target: str, frame: _Frame) -> tuple[PlannedStep, ...]:
        """The steps that take it back on the same target; what undoes is not undone in its turn."""
        if action.undo is None or frame.undoing:
            return ()
        targets = None if target == LOCAL else (target,)
        back = self.steps(action.undo, _Frame(params, targets, frame.inside, undoing=True))
        return _bounded(action.undo, back)

    def _params(
        self, name: str, specs: Mapping[str, Param], values: Mapping[str, Value], frame: _Frame
    ) -> dict[str, str]:
        unknown = sorted(values.keys() - specs.keys())
        if unknown:
            raise PlanError(f"{name} has no parameter {unknown[0]}")
        missing = sorted(specs.keys() - values.keys())
        if missing:
            raise PlanError(f"{name} needs the parameter {missing[0]}")
        try:
            return {key: check(key, spec, self._value(values[key], frame)) for key, spec in specs.items()}
        except PlanError as error:
            raise PlanError(f"{name}: {error}") from error

    def _value(self, value: Value, frame: _Frame) -> Scalar:
        if not isinstance(value, Ref):
            return value
        found = self._look_up(value, frame)
        if isinstance(found, list | dict):
            raise PlanError(f"{value} is not a single value")
        return found

    def _look_up(self, ref: Ref, frame: _Frame) -> Json:
        """A parameter of what surrounds us, else whatever fired the rule."""
        if frame.params is not None and not ref.path and ref.alias in frame.params:
            return frame.params[ref.alias]
        if ref.alias == "secret":
            raise PlanError(f"{ref} would show a secret on a command line: let the command read it itself")
        found = self.resolve(ref)
        if isinstance(found, Missing):
            raise PlanError(f"{ref} has no value here")
        return found

    def _targets(self, action: Action, do: Do, frame: _Frame) -> tuple[str, ...]:
        if action.connector is Connector.LOCAL:
            return (LOCAL,)
        if do.at is not None:
            return self._at(do, frame)
        if frame.targets is not None:
            return frame.targets
        if self.service is None:
            raise PlanError(f"{do.action} has no target: the event names no service, and there is no `at`")
        if not self.service.hosts:
            raise PlanError(f"{do.action} has no target: the service {self.service.name} has no hosts")
        return self._of_estate(do, self.service.hosts)

    def _at(self, do: Do, frame: _Frame) -> tuple[str, ...]:
        found = self._look_up(do.at, frame) if isinstance(do.at, Ref) else do.at
        names = found if isinstance(found, list) else [found]
        if not names:
            raise PlanError(f"{do.action} has no target: {do.at} is empty")
        return self._of_estate(do, names)

    def _of_estate(self, do: Do, names: Sequence[Json]) -> tuple[str, ...]:
        """Each name once; every one has to be a host of the estate."""
        targets: dict[str, None] = {}
        for name in names:
            if not isinstance(name, str) or name not in self.snapshot.hosts:
                raise PlanError(f"{do.action} cannot run at {ascii(name)[:80]}: it is no host of the estate")
            targets[name] = None
        return tuple(targets)


def _bounded(do: Do, steps: Iterator[PlannedStep]) -> tuple[PlannedStep, ...]:
    """The steps, unless playbooks multiply them beyond all reason."""
    found = tuple(islice(steps, MAX_STEPS + 1))
    if len(found) > MAX_STEPS:
        raise PlanError(f"{do.action} would make more than the {MAX_STEPS} steps that are allowed")
    return found


def _words(action: Action, items: Sequence[str | Ref], params: Bound) -> tuple[str, ...]:
    """The command: literals as they are, references replaced as whole words."""
    words = []
    for item in items:
        if not isinstance(item, Ref):
            words.append(item)
        elif item.path or item.alias not in params:
            raise PlanError(f"{action.name} uses {item} in its command, which is none of its parameters")
        else:
            words.append(params[item.alias])
    if not words:
        raise PlanError(f"{action.name} has an empty command")
    return tuple(words)
