"""Concept Weaver: learned appearances, each in its own region of one image."""
