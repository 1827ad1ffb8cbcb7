"""Several processes that train as one: who does which items, and the mean of their gradients."""

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from medgen.tasks.device import choose_device

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class World:
    """This process among those of the run.

    Attributes:
        rank: 0 .. size - 1; rank 0 writes the files.
        size: Number of processes.
        device: Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    def share(self, step: int, batch: int) -> range:
        """Numbers of this process's items in a step; the batch is split evenly, in order."""
        size = batch // self.size
        first = step * batch + self.rank * size
        return range(first, first + size)

    def mean(self, parameters: Sequence[nn.Parameter], values: Sequence[float]) -> list[float]:
        """Replace gradients by their mean over all processes; give the mean of `values` too.

        Every process must hold the same parameters and as many values. A parameter that no process
        gave a gradient keeps none. One message travels per call.
        """
        if self.size == 1:
            return list(values)
        has = [parameter.grad is not None for parameter in parameters]
        tail = torch.tensor([*map(float, has), *values], device=self.device)
        flat = torch.cat([*(_gradient(parameter).flatten() for parameter in parameters), tail])
        dist.all_reduce(flat)
        flat /= self.size
        sizes = [parameter.numel() for parameter in parameters]
        *gradients, tail = flat.split([*sizes, tail.numel()])
        shares = tail.tolist()
        for parameter, gradient, share in zip(parameters, gradients, shares, strict=False):
            parameter.grad = gradient.view_as(parameter) if share > 0 else None
        return shares[len(parameters) :]

    def shared(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Mapping[str, Result]]
    ) -> dict[str, Result]:
        """Let each process work on its share of the items, and give all results to all, in order.

        Args:
            items: The same in every process.
            work: Makes results, by names that no other item's have, in the order of its items.
        """
        if self.size == 1:
            return dict(work(items))
        first, behind = (len(items) * at // self.size for at in (self.rank, self.rank + 1))
        mine = dict(work(items[first:behind]))
        found: list[dict[str, Result]] = [{} for _ in range(self.size)]
        dist.all_gather_object(found, mine)
        return {name: result for each in found for name, result in each.items()}

    def from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors of every process by those of rank 0."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def number_from_first(self, number: int) -> int:
        """The number that rank 0 holds."""
        holder = torch.tensor(number, device=self.device)
        self.from_first([holder])
        return int(holder)


def rank_here() -> int:
    """The number of this process among those that `torchrun` started; 0 if it started none."""
    return int(os.environ.get("RANK", 0))


def join(device: str) -> World:
    """Join the processes that `torchrun` started, once per program; alone when it started none.

    Args:
        device: As `choose_device` takes it; with several processes `cuda` means one each.

    Raises:
        UsageError: The device does not exist here.
    """
    rank, size = rank_here(), int(os.environ.get("WORLD_SIZE", 1))
    place = choose_device(device)
    if place.type == "cuda" and size > 1:
        place = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)  # joining a second time can deadlock
    return World(rank, size, place)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
