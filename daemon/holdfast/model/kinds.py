"""What entries of the journal are about. Apart from them, so that whoever only names a kind loads nothing."""

from __future__ import annotations

from enum import StrEnum


class EntryKind(StrEnum):
    """Whatever moves the world is an entry in one journal, and its sequence is the world's order."""

    EVENT = "event"  # body: Event
    TICK = "tick"  # body: Tick, a durable timer that became due
    OUTCOME = "outcome"  # body: Outcome of one attempt
    DELIVERY = "delivery"  # body: Delivery of one message
    REPLY = "reply"  # body: InboundReply
    CONFIG = "config"  # body: ConfigSwap
    SWITCH = "switch"  # body: Switch, the kill switch
    CLOSE = "close"  # body: Close, the operator says that an incident is over
    START = "start"  # body: Start, the daemon came up
    ENGINE = "engine"  # body: EngineNews, the matching engine failed, came back or was given up
