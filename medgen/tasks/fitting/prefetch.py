"""Training items made ahead by other processes, in order and the same as if made here."""

import atexit
import multiprocessing
import signal
import sys
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from medgen.errors import MedgenError

MakeItem = Callable[[int], Any]
"""Item number in, item out; a pure function: all its randomness comes from the number."""


def made_in_order(
    make_item: MakeItem, numbers: Iterable[int], *, workers: int, ahead: int
) -> Generator[Any, None, None]:
    """The items `make_item(n)` for every number, in order.

    Each item is made by one thread, here as in a worker, so that rounding does not depend on
    `workers`. Close the iterator to end the workers before the garbage collector does.

    Args:
        make_item: What makes an item.
        numbers: Item numbers; may be a generator that never ends.
        workers: Processes that work ahead; 0 makes each item when it is asked for.
        ahead: Items that may wait, about.

    Raises:
        MedgenError: The one that `make_item` raised, when its turn comes.
    """
    if workers == 0:
        return _unpacked(_alone(make_item, numbers))
    items = _made_ahead(_loader(make_item, numbers, workers=workers, ahead=ahead))
    atexit.register(_close, weakref.ref(items))
    return _unpacked(items)


@dataclass(frozen=True)
class _Failure:
    """An error on its way out of a worker; raising it there would wrap it in a traceback."""

    error: MedgenError


class _Items(Dataset[Any]):
    """The dataset whose n-th item is `make_item(n)`."""

    def __init__(self, make_item: MakeItem) -> None:
        self.make_item = make_item

    def __getitem__(self, number: int) -> Any:
        try:
            return self.make_item(number)
        except MedgenError as error:
            return _Failure(error)


def _unpacked(items: Iterator[Any]) -> Generator[Any, None, None]:
    for item in items:
        if isinstance(item, _Failure):
            raise item.error
        yield item


def _alone(make_item: MakeItem, numbers: Iterable[int]) -> Generator[Any, None, None]:
    for number in numbers:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            item = make_item(number)
        finally:
            torch.set_num_threads(threads)
        yield item


def _made_ahead(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    """Yield what the workers make; on leaving, however that happens, no worker stays behind."""
    others = set(multiprocessing.active_children())
    source: Any = iter(loader)
    workers = set(multiprocessing.active_children()) - others
    try:
        yield from source
    finally:
        source._shutdown_workers()  # not left to the garbage collector: a traceback may hold it
        for worker in workers:
            worker.kill()


def _close(items: "weakref.ref[Any]") -> None:
    """Close a generator that the program still held when it ended."""
    if (held := items()) is not None:
        held.close()


def _loader(
    make_item: MakeItem, numbers: Iterable[int], *, workers: int, ahead: int
) -> DataLoader[Any]:
    can_fork = sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()
    return DataLoader(
        _Items(make_item),
        sampler=numbers,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        prefetch_factor=max(1, -(-ahead // workers)),
        worker_init_fn=_start_worker,
        multiprocessing_context="fork" if can_fork else "spawn",
        generator=torch.Generator(),  # or the loader would draw from the global one
    )


def _unchanged(item: Any) -> Any:
    return item


def _start_worker(_: int) -> None:
    """Leave signals to the parent: it finishes its step with the items already made."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_flush_denormal(True)
