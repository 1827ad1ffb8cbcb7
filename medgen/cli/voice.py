"""What medgen says while it works: one line each, on stderr, as much as was asked for."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}
LOGGER = logging.getLogger("medgen")


def say(line: str) -> None:
    """Print one line for a person."""
    print("medgen: " + " ".join(line.split("\n")), file=sys.stderr, flush=True)


def is_quiet() -> bool:
    """Whether `-q` was given: no warnings, no progress."""
    return not LOGGER.isEnabledFor(logging.WARNING)


class _Handler(logging.Handler):
    """Log lines in medgen's own form; the level only where it matters."""

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        say(level + record.getMessage())


@dataclass
class Voice:
    """How much one run says.

    Attributes:
        debug: Whether errors show their traceback.
    """

    debug: bool = False

    @property
    def level(self) -> int:
        """-1 errors, 0 warnings, 1 information, 2 everything."""
        return next((n for n, level in LEVELS.items() if level == LOGGER.level), 0)

    @level.setter
    def level(self, value: int) -> None:
        LOGGER.setLevel(LEVELS[max(-1, min(value, 2))])

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Send what medgen's modules log to stderr; other libraries keep their own ways."""
        handler = _Handler()
        before = LOGGER.level, LOGGER.propagate
        LOGGER.addHandler(handler)
        LOGGER.propagate = False
        self.level = 0
        try:
            yield
        finally:
            LOGGER.removeHandler(handler)
            LOGGER.level, LOGGER.propagate = before
