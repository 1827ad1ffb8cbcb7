"""How anything is trained: the loop, what it remembers, and what stops it."""
