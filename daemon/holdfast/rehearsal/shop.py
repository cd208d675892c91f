"""The shop: a real HTTP service with releases, one of which is broken, and the tool that runs it.

`python -m holdfast.rehearsal.shop DIR serve` is the service; `... restart | previous | deploy NAME |
crash | page on | page off` is what an administrator would have on the host. State is files in DIR:
`port`, `pid`, `releases/NAME/status`, the links `current` and `previous`, and `page`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

READY_WITHIN: Final = 5.0


def prepare(directory: Path, port: int) -> None:
    """Lay out a shop with a good release and a broken one; the good one is current."""
    for name, status in (("v1", "200"), ("v2", "500")):
        (directory / "releases" / name).mkdir(parents=True)
        (directory / "releases" / name / "status").write_text(status, encoding="ascii")
    (directory / "port").write_text(str(port), encoding="ascii")
    _link(directory, "current", "v1")
    _link(directory, "previous", "v1")


def serve(directory: Path) -> int:
    """Answer with the status of the current release; `/` shows the maintenance page while it is up."""
    release = (directory / "current").resolve()
    status = int((release / "status").read_text(encoding="ascii"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = self.path != "/health" and (directory / "page").exists()
            body = b"back soon\n" if page else f"{release.name}\n".encode()
            self.send_response(503 if page else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The rehearsal's screen is for the timeline."""

    port = int((directory / "port").read_text(encoding="ascii"))
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    (directory / "pid").write_text(str(os.getpid()), encoding="ascii")
    server.serve_forever()
    return 0


def restart(directory: Path) -> int:
    """Stop the service if it runs, start it, and wait until it answers at all."""
    stop(directory)
    (directory / "pid").unlink(missing_ok=True)
    with (directory / "log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "holdfast.rehearsal.shop", str(directory), "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if _answers(directory):
            print(f"the shop runs release {(directory / 'current').resolve().name}")
            return 0
        time.sleep(0.02)
    print("the shop did not come up; see its log", file=sys.stderr)
    return 1


def stop(directory: Path) -> int:
    """End the service's process, if there is one, and wait until it is gone."""
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and _answers(directory):
        time.sleep(0.02)
    return 0


def previous(directory: Path) -> int:
    """Roll back to the release before this one."""
    _link(directory, "current", (directory / "previous").resolve().name)
    return restart(directory)


def deploy(directory: Path, name: str) -> int:
    """Put a release live."""
    if not (directory / "releases" / name).is_dir():
        print(f"there is no release {name}", file=sys.stderr)
        return 2
    _link(directory, "previous", (directory / "current").resolve().name)
    _link(directory, "current", name)
    return restart(directory)


def page(directory: Path, wanted: str) -> int:
    """Show the maintenance page to customers, or take it away."""
    if wanted == "on":
        (directory / "page").touch()
    else:
        (directory / "page").unlink(missing_ok=True)
    return 0


def main(argv: list[str]) -> int:
    """DIR VERB [ARGUMENT]."""
    directory, verb, *rest = Path(argv[0]), *argv[1:]
    plain: Mapping[str, Callable[[Path], int]] = {
        "serve": serve,
        "restart": restart,
        "previous": previous,
        "crash": stop,
    }
    if verb in plain:
        return plain[verb](directory)
    return {"deploy": deploy, "page": page}[verb](directory, rest[0])


def _link(directory: Path, name: str, release: str) -> None:
    fresh = directory / f"{name}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(directory / "releases" / release)
    fresh.replace(directory / name)


def _answers(directory: Path) -> bool:
    port = (directory / "port").read_text(encoding="ascii")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
            return True
    except urllib.error.HTTPError:
        return True  # it answers, if only to say that it is broken
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
