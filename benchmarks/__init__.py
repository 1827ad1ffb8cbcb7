"""What the figures in BENCHMARKS.md are measured on, and how."""
