"""Codecs of images and of reports: learned, kept, and loaded."""
