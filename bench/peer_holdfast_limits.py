"""The same with the built-in limits in force: what they ask counts as missing to the harness."""

from __future__ import annotations

import peer_holdfast


class Peer(peer_holdfast.Peer):
    """Three starts an hour; the rest is asked."""

    name, limits = "peer_holdfast_limits", True
