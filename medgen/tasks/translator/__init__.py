"""The translator: what it learns from, and how whole images go through it."""
