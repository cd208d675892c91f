"""Two functions change something that outlives the process; this reads the source to show that no other does.

`store.database.Database.begin` commits; `effects.touch` lets something happen in the world outside. Each
place that can start a process, open a connection or send is listed below with its reason. A new one is added
here in the open, or it is not added.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "daemon" / "holdfast"

#: Calls that can reach out of the process, by the name they are imported under.
REACHING = {
    *(f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output")),
    *(
        f"os.{name}"
        for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "kill", "killpg", "popen", "system")
    ),
    *(
        f"os.{name}"
        for name in ("execv", "execve", "execvp", "execvpe", "spawnv", "spawnve", "spawnvp", "spawnvpe")
    ),
    *(
        "pty.fork",
        "pty.spawn",
        "multiprocessing.Process",
        "multiprocessing.get_context",
        "multiprocessing.Pool",
    ),
    *(
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "concurrent.futures.ProcessPoolExecutor",
    ),
    *("fabric.Connection", "paramiko.SSHClient", "paramiko.Transport", "apprise.Apprise"),
    *("smtplib.SMTP", "smtplib.SMTP_SSL", "imaplib.IMAP4", "imaplib.IMAP4_SSL"),
    *("imap_tools.MailBox", "imap_tools.MailBoxStartTls", "imap_tools.MailBoxUnencrypted"),
    *(
        "httpx.Client",
        "httpx.AsyncClient",
        "httpx.get",
        "httpx.post",
        "httpx.put",
        "httpx.request",
        "httpx.stream",
    ),
    *("socket.socket", "socket.create_connection", "socket.socketpair", "asyncio.open_connection"),
}
#: The same by the name of the method, whatever it is called on.
REACHING_METHODS = {
    *("exec_command", "open_session", "open_sftp", "invoke_shell", "send_signal", "sendmail", "send_message"),
    *("sendto", "create_subprocess_exec", "create_subprocess_shell"),
}

#: Where that is allowed, and why it is no effect on the world, or which `touch` it happens inside.
ALLOWED = {
    "holdfast.app.ruletests:RuleTests._run": "our own command, on a database that it makes and removes",
    "holdfast.app.supervisor:Supervisor._say": "a datagram to the systemd that started us",
    "holdfast.cli.client:Daemon._request": "the control socket of our own daemon",
    "holdfast.cli.client:_knock": "the same, to tell a dead socket from a live one",
    "holdfast.config.git:_run": "git reads commits; only `init --server` makes it write",
    "holdfast.effects:strike": "a test asked for this death",
    "holdfast.execute.dial:_socket": "the connection that `dial` logs in over",
    "holdfast.execute.dial:dial": "logs in; what is sent then is for SshConnector._ask",
    "holdfast.execute.local:LocalConnector._ask": "an attempt inside `execute.attempt`, else reads receipts",
    "holdfast.execute.minder:Attempt.look_at_the_clock": "kills its own command, which outlived its deadline",
    "holdfast.execute.minder:Minder.spawn": "in a process of its own: what `_minded` orders, and its end",
    "holdfast.execute.minder:main": "the socket that it was started with",
    "holdfast.execute.minding:Minding._start": "the minder, which starts nothing that was not ordered",
    "holdfast.execute.ssh:SshConnector._ask": "an attempt inside `execute.attempt`, else reads receipts",
    "holdfast.execute.ssh:SshConnector._session": "opens the channel that `_ask` speaks on",
    "holdfast.match.durable.child:main": "its end of the socket to the daemon that started it",
    "holdfast.match.durable.handle:Handle.__init__": "the engine process, and the socket to it",
    "holdfast.match.durable.handle:Handle.end": "the engine process: it is ours, and holds nothing",
    "holdfast.notify.courier:_Child.__init__": "the process Apprise lives in; it sends what it is told",
    "holdfast.notify.mailbox:_connected": "reads mail with BODY.PEEK; nothing in the mailbox changes",
    "holdfast.notify.target:_loaded": "inside the courier's process, told to by `notify.send`",
    "holdfast.notify.target:preload": "loads plug-ins while nobody waits; sends nothing",
    "holdfast.sense.http_look:client": "probes: a GET is looking",
    "holdfast.web.serve:_bind": "our own control socket",
    "holdfast.web.serve:_clear": "our own control socket, left over from a crash",
}
#: Above `app`, with servers of its own to break and heal: no part of the daemon.
STAGE = "holdfast.rehearsal"

#: The only callers of `touch`, and the crash point of each.
TOUCHES = {
    "holdfast.execute.hands:Hands._begin": "execute.attempt",
    "holdfast.notify.outbox:Outbox._send": "notify.send",
}

#: (room, method): what changes the world when it is called there, so each call stands inside a `touch(...)`.
ONLY_INSIDE_TOUCH = [("holdfast.execute", ".run"), ("holdfast.notify", ".send")]

COMMITTERS = {"holdfast.store.database:Database.begin"}


@dataclass
class Module:
    """One source file, with what its names mean."""

    name: str
    tree: ast.Module
    imported: dict[str, str] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One call, the function that it stands in, and the calls whose arguments it stands in."""

    module: Module
    function: str
    node: ast.Call
    around: tuple[ast.Call, ...]

    @property
    def place(self) -> str:
        """`module:Class.function`; lambdas and nested functions belong to what they stand in."""
        return f"{self.module.name}:{self.function}"

    @property
    def name(self) -> str:
        """The called name, imports resolved: `subprocess.run`, `self._courier.send`."""
        first, *rest = dotted(self.node.func).split(".")
        return ".".join((self.module.imported.get(first, first), *rest))

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.place} line {self.node.lineno}: {self.name}"


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression; what is no name is an empty word."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def read(path: Path) -> Module:
    """Parse one file; collect its imports and its crash points."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text()))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".", maxsplit=1)[0]
                module.imported[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
            collect_point(module, node.target, node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            collect_point(module, node.targets[0], node.value)
    return module


def collect_point(module: Module, target: ast.expr, value: ast.Call) -> None:
    """Remember `NAME = crash_point("room.verb")`."""
    if dotted(value.func).endswith("crash_point"):
        argument = value.args[0]
        assert isinstance(target, ast.Name), f"{module.name}: a crash point is a constant of its module"
        assert isinstance(argument, ast.Constant), f"{module.name}: a crash point is a literal"
        module.points[target.id] = str(argument.value)


def calls_in(module: Module) -> Iterator[Call]:
    """Every call of a module, outermost first."""

    def walk(node: ast.AST, function: str, in_function: bool, around: tuple[ast.Call, ...]) -> Iterator[Call]:
        inner = function
        if isinstance(node, ast.ClassDef):
            inner = f"{function}.{node.name}".lstrip(".")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not in_function:
            inner, in_function = f"{function}.{node.name}".lstrip("."), True
        if isinstance(node, ast.Call):
            yield Call(module, inner, node, around)
            around = (*around, node)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inner, in_function, around)

    yield from walk(module.tree, "", False, ())


def everything() -> tuple[list[Module], list[Call]]:
    """The package as modules and calls; the migrations run inside a transaction that they are given."""
    modules = [read(path) for path in sorted(PACKAGE.rglob("*.py")) if "migrations" not in path.parts]
    return modules, [call for module in modules for call in calls_in(module)]


MODULES, CALLS = everything()


def is_touch(call: ast.Call, module: Module) -> bool:
    """Whether this is a call of `effects.touch`."""
    return Call(module, "", call, ()).name in ("holdfast.effects.touch", "holdfast.effects.effects.touch")


def reaches(call: Call) -> bool:
    """Whether the call can reach out of the process."""
    return call.name in REACHING or call.name.rsplit(".", 1)[-1] in REACHING_METHODS


def point_of(call: Call) -> str | None:
    """The registered name behind the first argument, or None when it is not a registered constant."""
    if not call.node.args:
        return None
    first, *rest = dotted(call.node.args[0]).split(".")
    full = ".".join((call.module.imported.get(first, f"{call.module.name}.{first}"), *rest))
    known = {
        f"{module.name}.{constant}": name for module in MODULES for constant, name in module.points.items()
    }
    return known.get(full)


def strikes() -> list[Call]:
    """Calls that end at a crash point: `touch(POINT, ...)` and `database.begin(POINT)`."""
    named = [call for call in CALLS if call.name.endswith(".begin") and call.node.args]
    begins = [call for call in named if not call.name.startswith("holdfast.")]
    return [*begins, *(call for call in CALLS if is_touch(call.node, call.module))]


def test_only_one_function_commits() -> None:
    verbs = (".commit", ".begin_nested", ".autocommit", ".executescript")
    committing = [call for call in CALLS if call.name.endswith(verbs)]
    beginning = [call for call in CALLS if call.name.endswith(".begin") and not call.node.args]
    places = {call.place for call in (*committing, *beginning)}

    assert places == COMMITTERS


def test_no_sql_text_begins_or_ends_a_transaction_elsewhere() -> None:
    verbs = ("BEGIN", "COMMIT", "SAVEPOINT", "ROLLBACK", "END TRANSACTION")
    found = {
        f"{module.name} line {node.lineno}: {node.value[:40]}"
        for module in MODULES
        if module.name != "holdfast.store.database"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.lstrip().startswith(verbs)
    }

    assert found == set()


def test_nobody_else_reaches_out_of_the_process() -> None:
    reaching = [call for call in CALLS if reaches(call) and not call.module.name.startswith(STAGE)]

    assert [call.where for call in reaching if call.place not in ALLOWED] == []


def test_no_allowance_outlives_its_use() -> None:
    assert set(ALLOWED) - {call.place for call in CALLS if reaches(call)} == set()


def test_the_world_is_touched_in_these_places_only() -> None:
    touching = [call for call in CALLS if is_touch(call.node, call.module)]

    assert {call.place: point_of(call) for call in touching} == TOUCHES
    assert len(touching) == len(TOUCHES)


@pytest.mark.parametrize(("room", "method"), ONLY_INSIDE_TOUCH)
def test_what_changes_the_world_is_called_inside_a_touch(room: str, method: str) -> None:
    callers = [
        call
        for call in CALLS
        if call.module.name.startswith(room) and call.name.endswith(method) and call.name not in REACHING
    ]
    outside = [
        call.where for call in callers if not any(is_touch(outer, call.module) for outer in call.around)
    ]

    assert callers != []
    assert outside == []


def test_every_begin_and_touch_names_a_registered_crash_point() -> None:
    unnamed = [call.where for call in strikes() if point_of(call) is None]

    assert unnamed == []


def test_every_registered_crash_point_is_used() -> None:
    registered = {name for module in MODULES for name in module.points.values()}

    assert registered - {point_of(call) for call in strikes()} == set()


def test_a_crash_point_is_named_after_its_room() -> None:
    misnamed = [
        (module.name, name)
        for module in MODULES
        for name in module.points.values()
        if name.split(".")[0] != module.name.split(".")[1]
    ]

    assert misnamed == []
