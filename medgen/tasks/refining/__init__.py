"""Twice the resolution of what a flow or a translator makes."""
