"""How good a result is, by named protocols."""
