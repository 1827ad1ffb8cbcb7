"""The finder: what it learns from, what its answers are worth, and how it is loaded."""
