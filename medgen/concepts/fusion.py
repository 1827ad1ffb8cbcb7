"""Fusion: each region of an image attends to its own concept, in one pass of the network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from monai.networks.blocks.crossattention import CrossAttentionBlock
from torch import Tensor

from medgen.concepts.concept import Concept, Said, layers_of
from medgen.concepts.masks import cells_of
from medgen.diffusion.unet import UNet


@dataclass(frozen=True)
class Fusion:
    """What the cross-attention of a network is to say where.

    In the features of every layer, (1 + suppression) * (the concepts, each in its cells, and the
    network's own answer in the rest) - suppression * what is said without any concept. Where there
    is no concept, that is the network's own answer.

    Attributes:
        concepts: The concepts.
        contexts: What is said where each of them is; usually its own `context`.
        where: Share of each concept in each cell of the latent, for each item of the batch; the
            rest is the network's own.
        patch: Cells of the latent along each axis that the network takes as one.
        suppression: How far features are pushed away from those without concepts; 0 does not.

    Source: Kwon et al. 2024, eq. 5 and 6 (arXiv:2404.03913).
    """

    concepts: Sequence[Concept]
    contexts: Sequence[Said]
    where: Float[Tensor, "batch concepts *grid"]
    patch: int = 1
    suppression: float = 0.0

    @contextmanager
    def attached(self, network: UNet) -> Iterator[None]:
        """The network's cross-attention is fused, as long as this lasts.

        Raises:
            ValueError: If the network has no cross-attention of MONAI's kind.
        """
        coarsest = self.patch * network.coarsest
        handles = [
            layer.register_forward_hook(partial(self._fuse, name, coarsest), with_kwargs=True)
            for name, layer in layers_of(network)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _fuse(
        self,
        name: str,
        coarsest: int,
        layer: CrossAttentionBlock,
        given: tuple[Any, ...],
        named: dict[str, Any],
        answer: Float[Tensor, "batch cells asking"],
    ) -> Float[Tensor, "batch cells asking"]:
        """A forward hook; `answer` is what the layer says without concepts."""
        queries = given[0]
        shares = cells_of(self.where, queries.shape[1], patch=self.patch, coarsest=coarsest)
        shares = shares.to(answer).flatten(2)[..., None]  # (batch, concepts, cells, 1)
        fused = answer * (1 - shares.sum(1))
        for at, (concept, context) in enumerate(zip(self.concepts, self.contexts, strict=True)):
            fused = fused + shares[:, at] * concept.answer(name, layer, queries, context)
        return fused + self.suppression * (fused - answer)
