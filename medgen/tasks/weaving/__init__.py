"""Concepts and regions of scans: learned, placed, woven and written."""
