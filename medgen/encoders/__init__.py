"""A text or an image in; what attends to it and where it lies among all others out."""
