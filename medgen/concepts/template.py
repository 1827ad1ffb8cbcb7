"""The template: where its latent is at every time, and its features, lent to what is woven."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medgen.concepts.masks import cells_of
from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.inversion import invert_ddim
from medgen.diffusion.process import AbstractProcess
from medgen.diffusion.schedule import Stops
from medgen.diffusion.unet import UNet, attention_layers, residual_layers
from medgen.shapes import Latent, Time

DECODER = "up_blocks"  # in the names of MONAI's layers behind the middle


@dataclass(frozen=True)
class Template:
    """A latent walked backwards to its noise.

    Attributes:
        clean: The latent itself.
        noise: What it starts from, at the first of the stops.
        path: The latent at every stop but the last, by its time.
    """

    clean: Latent
    noise: Latent
    path: dict[float, Latent]

    def at(self, time: Time) -> Latent:
        """The latent at a stop."""
        return self.path[float(time)]


def inverted(
    denoise: Denoise,
    process: AbstractProcess,
    clean: Latent,
    stops: Stops,
    *,
    refinements: int = 3,
) -> Template:
    """Find the noise from which the sampler makes a latent, and all that lies between.

    Args:
        denoise: As it will sample again.
        process: How clean and noise mix.
        clean: One latent.
        stops: Of the sampler.
        refinements: Of every step, as `invert_ddim` takes them.
    """
    steps = invert_ddim(denoise, process, clean, stops, refinements=refinements)
    path = {float(step.time): step.latent for step in steps}
    return Template(clean, path[max(path)], path)


@dataclass(frozen=True)
class Injection:
    """Features of the first item of a batch, given to all others of it.

    The first item is the template at the same time: nothing is stored but what one pass holds.

    Attributes:
        features: Share of the steps, from the noisy end, in which residual blocks are injected.
        attention: The same of self-attention.
        inside: Share of the injection that is kept where a concept is; 1 there as everywhere.
        whole: Every residual block and attention, not only those that hold the layout: the
            residual blocks of the first decoding level that attends, the self-attention of all.

    Source: Tumanyan et al. 2023, section 4 (arXiv:2211.12572), the layers as in Kwon et al. 2024,
    section 3.3 (arXiv:2404.03913); a share inside of regions is ours.
    """

    features: float = 0.8
    attention: float = 0.5
    inside: float = 0.0
    whole: bool = False

    @contextmanager
    def attached(
        self,
        network: UNet,
        progress: float,
        where: Float[Tensor, "batch 1 *grid"],
        *,
        patch: int,
    ) -> Iterator[None]:
        """The network's features are injected, as long as this lasts.

        Args:
            network: A U-Net.
            progress: Share of the steps that are done.
            where: Share of all concepts in each cell of the latent, for each item of the batch.
            patch: Cells of the latent along each axis that the network takes as one.
        """
        share_of = partial(
            cells_of,
            1 - (1 - self.inside) * where,
            patch=patch,
            coarsest=patch * network.coarsest,
        )
        handles = [
            module.register_forward_hook(partial(self._inject, share_of))
            for module in self._modules(network, progress)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _modules(self, network: nn.Module, progress: float) -> list[nn.Module]:
        residual, attending = residual_layers(network), attention_layers(network)
        own = {name: one for name, one in attending.items() if not name.endswith("attn2")}
        if not self.whole:
            own = {name: one for name, one in own.items() if DECODER in name}
            level = next(iter(own), "").partition("attentions")[0]
            residual = {name: one for name, one in residual.items() if level and level in name}
        chosen = list(residual.values()) if progress < self.features else []
        return chosen + (list(own.values()) if progress < self.attention else [])

    @staticmethod
    def _inject(
        share_of: Callable[[int], Tensor],
        module: nn.Module,
        given: tuple[Any, ...],
        answer: Tensor,
    ) -> Tensor:
        """A forward hook: residual blocks answer on a grid, attention in a row of cells.

        Of so many cells, `share_of` says how much of each is the template's.
        """
        is_row = answer.ndim == 3
        cells = answer.shape[1] if is_row else answer[0, 0].numel()
        share = share_of(cells).to(answer)
        if is_row:
            share = share.flatten(2).transpose(1, 2)
        return torch.cat([answer[:1], answer[1:].lerp(answer[:1].expand_as(answer[1:]), share[1:])])
