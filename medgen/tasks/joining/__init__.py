"""Rounds that join flows: what they learn from, and pairs that are made for them."""
