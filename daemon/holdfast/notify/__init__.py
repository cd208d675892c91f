"""The voice and the ear: the outbox hands messages to Apprise, mailboxes hand replies to the journal."""
