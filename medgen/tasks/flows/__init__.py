"""Flows of latents: what they are told, what they learn from, and how they are loaded."""
