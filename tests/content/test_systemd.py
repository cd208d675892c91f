from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "holdfast.service"

# 0 is a process that can do nothing; above 2.0 systemd stops saying "OK". What is left (1.3) is what the
# daemon is for: it speaks TCP to any address, reads the boot id, limits the memory of its children, and lives
# among other users without an image of its own. The bound leaves room for the weights of other systemd
# versions, and for no other right.
MOST_EXPOSURE = 1.5


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with an executable that exists on this machine."""
    text, count = re.subn(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(text)

    assert count == 1
    return copy


def analyze(*arguments: str) -> str:
    """What systemd-analyze says on both channels; its exit status hides warnings."""
    run = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def settings() -> dict[str, list[str]]:
    """The unit as key to values, comments dropped."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_systemd_has_nothing_to_say_about_the_unit(unit: Path) -> None:
    said = analyze("verify", "--man=no", str(unit))

    assert said == ""


def test_a_misspelt_key_would_be_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))

    assert "'NoNewPrivilege'" in analyze("verify", "--man=no", str(unit))


def test_the_exposure_stays_low(unit: Path) -> None:
    said = analyze("security", "--offline=true", str(unit))
    found = re.search(r"Overall exposure level for holdfast\.service: ([0-9.]+)", said)

    assert found, said
    assert float(found[1]) <= MOST_EXPOSURE, said


def test_the_unit_says_what_the_daemon_relies_on() -> None:
    said = settings()

    assert said["Type"] == ["notify"]
    assert said["KillMode"] == ["process"]
    assert said["Restart"] == ["always"]
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert said["TimeoutStopSec"] == ["15"]
    assert "ProcSubset" not in said  # /proc/sys/kernel/random/boot_id must stay readable


def test_every_right_that_is_taken_away_says_when_to_give_it_back() -> None:
    """The keys an operator meets first; each has a comment right above it."""
    lines = UNIT.read_text().splitlines()
    loosened = [
        *("ProtectSystem", "ProtectHome", "PrivateTmp", "ProtectProc", "RestrictAddressFamilies"),
        *("MemoryDenyWriteExecute", "SystemCallFilter", "NoNewPrivileges", "MemoryMax", "KillMode"),
        "StateDirectory",
    ]
    uncommented = [
        key
        for key in loosened
        if not lines[next(n for n, line in enumerate(lines) if line.startswith(f"{key}=")) - 1].startswith(
            "#"
        )
    ]

    assert uncommented == []


def test_everything_that_runs_in_the_daemon_lives_without_writable_code(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute as the kernel enforces it, over each library that has compiled code."""
    program = """
import ctypes, json, mmap, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
refused = ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    enforced = False
except PermissionError:
    enforced = True

import asyncio, apprise, bcrypt, fabric, httptools, httpx, imap_tools, msgspec, nacl.signing, re2, sqlalchemy
import uvicorn, uvloop, yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

async def nothing():
    await asyncio.sleep(0)

Ed25519PrivateKey.generate().sign(b"x")
nacl.signing.SigningKey.generate().sign(b"x")
bcrypt.hashpw(b"x", bcrypt.gensalt(4))
re2.compile("a+").search("caat")
uvloop.run(nothing())
observer = Observer()
observer.schedule(FileSystemEventHandler(), sys.argv[1])
observer.start(); observer.stop(); observer.join()
sqlalchemy.create_engine("sqlite://").connect().exec_driver_sql("select 1")
print(json.dumps({"supported": not refused, "enforced": enforced}))
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["enforced"] == said["supported"]  # kernels before 6.3 cannot say it; systemd still can
