"""The config room: YAML and git in, one validated and frozen `Snapshot` out. Dicts stop here."""
