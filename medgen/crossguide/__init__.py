"""Flows that are walked together and listen to each other."""
