"""Human gates, pure: the card, the code, the grammar of a reply, and the one function that judges it."""
