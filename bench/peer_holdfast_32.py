"""The same over 32 connections."""

from __future__ import annotations

import peer_holdfast


class Peer(peer_holdfast.Peer):
    """32 senders that wait for their answer each."""

    name, conns = "peer_holdfast_32", 32
