"""HTTP: the door for events, and the socket for the command line. What it needs is given to it."""
