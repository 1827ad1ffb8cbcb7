"""Encoders that meet in one space: what they learn from, and how well they agree."""
