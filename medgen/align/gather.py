"""One batch out of those of several processes, through which gradients flow."""

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def gathered(rows: Shaped[Tensor, "batch *rest"]) -> Shaped[Tensor, "gathered *rest"]:
    """The rows of all processes, in the order of their ranks; those given, if there is one process.

    Every process must give as many rows, and compute the same loss from what it gets. Its own rows
    then receive the gradient of that loss times the number of processes, so that the mean of the
    processes' gradients is the gradient that one process would have with all rows. No message
    travels backwards: a process whose rows need no gradient keeps nobody waiting.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    size = dist.get_world_size()
    sent = rows.detach().contiguous()
    parts = [torch.empty_like(sent) for _ in range(size)]
    dist.all_gather(parts, sent)
    if rows.requires_grad:
        parts[dist.get_rank()] = sent + size * (rows - sent)  # the rows, to the last bit
    return torch.cat(parts)
