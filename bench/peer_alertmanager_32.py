"""Alertmanager over 32 connections, beside peer_holdfast_32."""

from __future__ import annotations

import alertmanager


class Peer(alertmanager.Peer):
    """The harness's own adapter, with more senders."""

    name, conns = "peer_alertmanager_32", 32
