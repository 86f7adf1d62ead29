"""What a connection may send and how long it may take: checked before a request is understood."""
