"""References in a prompt: read, learned from, and retrieved."""
