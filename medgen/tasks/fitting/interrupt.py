"""A stop signal that waits for the end of the step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any


@dataclass
class Interrupt:
    """Whether SIGINT or SIGTERM came; the second one acts at once, as it did before."""

    signum: int | None = None
    previous: dict[int, Any] = field(default_factory=dict)

    def catch(self, signum: int, frame: FrameType | None) -> None:
        """Remember the first signal (a signal handler)."""
        self.signum = signum
        self.restore()

    def restore(self) -> None:
        """Put the earlier signal handlers back."""
        while self.previous:
            signum, handler = self.previous.popitem()
            signal.signal(signum, handler)

    def leave(self) -> None:
        """End the program the way the signal asks for.

        Raises:
            KeyboardInterrupt: SIGINT came (exit code 130).
            SystemExit: SIGTERM came (exit code 143).
        """
        if self.signum == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt


@contextmanager
def waiting_signals() -> Iterator[Interrupt]:
    """Hold SIGINT and SIGTERM back; not outside the main thread, where Python forbids it."""
    interrupt = Interrupt()
    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            interrupt.previous[signum] = signal.signal(signum, interrupt.catch)
    try:
        yield interrupt
    finally:
        interrupt.restore()
