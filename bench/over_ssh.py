#!/usr/bin/env python3
"""Starts an sshd on loopback and a daemon whose one host it is, and ends the sshd with the daemon.

With the project's Python, by peer_holdfast_ssh.py: bench/over_ssh.py WORKLOAD RULES DIRECTORY PORT.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import repository
from daemon import HOLDFAST

from holdfast.rehearsal.sshd import Sshd, start_sshd

ESTATE = """estate:
  hosts:
    web1:
      address: {host}
      port: {port}
      user: {user}
      host_key: "{key}"
"""


def write(root: Path, sshd: Sshd, workload: str, rules: int) -> None:
    """The config repository, and the key as a secret."""
    estate = ESTATE.format(host=sshd.host, port=sshd.port, user=sshd.user, key=sshd.host_key_line)
    repository.write(root / "config", workload, rules, root / "fired.log", estate=estate)
    subprocess.run([HOLDFAST, "check", root / "config"], check=True)
    secrets = root / "state" / "secrets"
    secrets.mkdir(parents=True, mode=0o700, exist_ok=True)
    (root / "state").chmod(0o700)
    key = secrets / "ssh-key"
    key.touch(mode=0o600)
    key.write_bytes(sshd.client_key_path.read_bytes())


def main() -> int:
    """Serve until the daemon ends; its exit code."""
    workload, rules, directory, port = sys.argv[1:]
    root = Path(directory)
    (root / "sshd").mkdir(exist_ok=True)
    # a login shell reads its start files for every single command: measure without those of this user
    with start_sshd(root / "sshd", extra=[f"SetEnv HOME={root}"]) as sshd:
        write(root, sshd, workload, int(rules))
        places = ["--config", root / "config", "--state", root / "state"]
        return subprocess.call([HOLDFAST, "run", *places, "--listen", f"127.0.0.1:{port}"])


if __name__ == "__main__":
    sys.exit(main())
