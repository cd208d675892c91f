"""durable_rules on its leash: compiled to what it does right, in a process of its own, never believed alone.

The way of an event: `facts` projects it to a few typed fields, `handle` asks the process that `child` is, and
`engine` confirms what comes back, stands in when nothing does, and has the process replaced.
`program` decides beforehand what is asked: conditions as `branches` of plain tests, in small rulesets.
docs/engine.md tells why.
"""
