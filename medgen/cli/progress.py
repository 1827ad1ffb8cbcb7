"""The only progress bar: on stderr, for people, with rate and time left."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from medgen.cli.voice import is_quiet

T = TypeVar("T")


class Advance(Protocol):
    """So much more is done; the note is shown beside the bar."""

    def __call__(self, amount: int | float, note: str = "") -> None:
        """Move the bar."""


def is_watched() -> bool:
    """Whether somebody is looking: stderr is a terminal and nobody said `-q`."""
    return sys.stderr.isatty() and not is_quiet()


@contextmanager
def progress_bar(
    title: str, *, total: int | float | None = None, unit: str = ""
) -> Iterator[Advance]:
    """Show how far something is.

    Args:
        title: What is being done.
        total: Where it ends; None if nobody knows.
        unit: What is counted, for the rate: `steps`.

    Yields:
        `advance(amount, note)`: so much more is done; the note is shown beside the bar.
    """
    if not is_watched():
        yield _unseen
        return
    # Imported late: it takes a tenth of a second, and scripts never see the bar.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:g}/{task.total}" if total else "{task.completed:g}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, rate="", note="")

        def advance(amount: int | float, note: str = "") -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.3g} {unit}/s" if speed else ""
            bar.update(task, advance=amount, rate=rate, note=note)

        yield advance


def _unseen(amount: int | float, note: str = "") -> None:
    """Advance a bar that nobody looks at."""


def watched(things: Iterable[T], title: str, *, total: int | None = None) -> Iterator[T]:
    """Pass things through while a bar counts them."""
    with progress_bar(title, total=total, unit="items") as advance:
        for thing in things:
            yield thing
            advance(1)
