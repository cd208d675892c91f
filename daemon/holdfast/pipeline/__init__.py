"""The road: every entry of the journal goes down it once, in order.

`intake` reads on, `road` names the stages; `faults`, `responses`, `actions`, `outcomes`, `questions`,
`replies`, `holds`, `messages`, `clockwork`, `adoption` and `engine_news` are what happens at each. All
of it runs on one thread, inside the transaction that moves the cursor: what is to be done to the world
is only ever written down here, never done.
"""
