"""Work on many items is done once, by whichever process, and known to all."""

from collections.abc import Sequence

import pytest
import torch
import torch.distributed as dist

from medgen.tasks.fitting.distributed import World

CPU = torch.device("cpu")


def squares(items: Sequence[int]) -> dict[str, int]:
    return {str(item): item**2 for item in items}


def test_alone_it_does_all() -> None:
    assert World(0, 1, CPU).shared([3, 1, 2], squares) == {"3": 9, "1": 1, "2": 4}


@pytest.mark.parametrize("size", [2, 3, 7])
def test_each_item_is_done_once_and_all_get_all_in_order(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [5, 3, 4, 1, 2]
    done: list[dict[str, int]] = []

    def gather(found: list[dict[str, int]], mine: dict[str, int]) -> None:
        done.append(mine)
        found[:] = done[-size:] if len(done) >= size else found

    monkeypatch.setattr(dist, "all_gather_object", gather)
    results = [World(rank, size, CPU).shared(items, squares) for rank in range(size)]
    assert sum(len(part) for part in done) == len(items)
    assert max(map(len, done)) <= len(items) // size + 1
    assert list(results[-1].items()) == list(squares(items).items())
