"""Real servers on loopback, and the outages that are rehearsed on them."""
