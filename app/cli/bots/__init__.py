"""`zeon run`: a bot beside a session, with the addresses and the clock of the session."""
