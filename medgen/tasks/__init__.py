"""One file, one verb: what each command does, as a Python function; packages hold what it needs."""
