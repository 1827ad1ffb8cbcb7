"""Text that points at references, and flows that read them (Instruct-Imagen)."""
