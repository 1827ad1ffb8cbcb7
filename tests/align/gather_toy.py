"""Two encoders of one layer, and what they learn from one batch; whole, or a share of it."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from medgen.align.central import Given, alignment_losses, invariance_losses
from medgen.align.gather import gathered
from medgen.align.temperature import Temperature
from medgen.modality import Modality

STUDIES = 8
PRESENT = {  # the second process has no CT at all
    Modality.TEXT: [1, 1, 0, 1, 1, 1, 1, 0],
    Modality.XRAY: [1, 0, 1, 1, 1, 1, 1, 1],
    Modality.CT: [1, 1, 1, 1, 0, 0, 0, 0],
}


def learned(rank: int, size: int) -> dict[str, Tensor]:
    """Losses, and the mean over the processes of the gradients of their parameters."""
    generator = torch.Generator().manual_seed(0)
    share = slice(rank * STUDIES // size, (rank + 1) * STUDIES // size)
    temperature = Temperature()
    parameters = {"log_scale": temperature.log_scale}
    views: list[dict[Modality, Given]] = [{}, {}]
    for modality, present in PRESENT.items():
        weight = torch.randn(5, 4, generator=generator).requires_grad_()
        parameters[str(modality)] = weight
        for view in views:
            rows = torch.randn(STUDIES, 5, generator=generator)[share]
            is_there = torch.tensor(present).bool()[share]
            embeddings = torch.zeros(len(rows), 4)
            if is_there.any():
                encoded = F.normalize(rows[is_there] @ weight, dim=1)
                embeddings = embeddings.index_put((is_there,), encoded)
            view[modality] = Given(embeddings, is_there)
    groups = torch.tensor([0, 1, 2, 3, 0, 1, 4, 5])[share]
    losses = alignment_losses(views[0], temperature(), groups=groups)
    losses |= invariance_losses(views[0], views[1])
    torch.stack(list(losses.values())).sum().backward()
    found = {f"loss {name}": loss.detach() for name, loss in losses.items()}
    for name, parameter in parameters.items():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        if size > 1:
            dist.all_reduce(gradient)
        found[f"gradient {name}"] = gradient / size
    return found


def main(rank: int, size: int, folder: str) -> None:
    """One of `size` processes; writes what it learned."""
    torch.set_num_threads(1)
    meeting: dict[str, Any] = {"init_method": f"file://{folder}/meeting", "world_size": size}
    dist.init_process_group("gloo", rank=rank, **meeting)
    found = learned(rank, size)
    found["rows"] = gathered(torch.tensor([[rank, 0.1], [rank, 0.7]]))
    save_file(found, Path(folder) / f"{rank}.safetensors")
    dist.destroy_process_group()
