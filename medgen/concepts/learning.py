"""Learning a concept: what counts in its examples, and what the class must not forget."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.concepts.concept import Concept, Said
from medgen.concepts.fusion import Fusion
from medgen.concepts.weaving import Loom
from medgen.diffusion.prediction import target
from medgen.shapes import Latent


@dataclass(frozen=True)
class Batch:
    """Latents with their noise.

    Attributes:
        clean: The latents.
        noise: Theirs.
        time: One for each.
        mask: The share of the concept in each cell: where an error counts.
    """

    clean: Latent
    noise: Latent
    time: Float[Tensor, "batch"]
    mask: Float[Tensor, "batch 1 *grid"]


@dataclass(frozen=True)
class Lesson:
    """What a step learns from, in the ways in which a concept will be used.

    Attributes:
        whole: Examples in which the concept is told everywhere, as estimates are mixed.
        woven: Examples in which it is told in its mask alone, as features are fused.
        prior: Images of its class, that are to stay what they are when the token is not told.
    """

    whole: Batch | None
    woven: Batch | None
    prior: Batch | None


def lesson_loss(
    loom: Loom, concept: Concept, lesson: Lesson, plain: Said, *, prior: float
) -> dict[str, Tensor]:
    """How wrong the network is with a concept: in the masks, and about its class.

    Args:
        loom: The network, frozen.
        concept: What learns.
        lesson: What from.
        plain: What is told where the concept is not.
        prior: How much the class counts beside the concept.

    Source: Kumari et al. 2023, section 3.2 (arXiv:2212.04488), whose released code masks the error.
    """
    zero = concept.token.sum() * 0
    terms = {"concept": zero, "prior": zero}
    ways = [(lesson.whole, True), (lesson.woven, False)]
    used = [(batch, everywhere) for batch, everywhere in ways if batch is not None]
    for batch, everywhere in used:
        context = concept.context
        where = torch.ones_like(batch.mask) if everywhere else batch.mask
        told = context if everywhere else plain
        error = _error(loom, concept, batch, context, where, told)
        terms["concept"] = terms["concept"] + error / len(used)
    if lesson.prior is not None:
        said, ones = concept.said, torch.ones_like(lesson.prior.mask)
        terms["prior"] = _error(loom, concept, lesson.prior, said, ones, said)
    return {"total": terms["concept"] + prior * terms["prior"], **terms}


def _error(
    loom: Loom,
    concept: Concept,
    batch: Batch,
    context: Said,
    where: Float[Tensor, "batch 1 *grid"],
    told: Said,
) -> Tensor:
    """The mean squared error in the mask."""
    mix = loom.process.at(batch.time)
    fusion = Fusion([concept], [context], where, patch=loom.patch)
    with fusion.attached(loom.network):
        network_told = told.expand(len(batch.clean), -1, -1)
        predicted = loom.predict(mix(batch.clean, batch.noise), batch.time, network_told)
    wanted = target(loom.prediction, mix, batch.clean, batch.noise)
    squares = (predicted.float() - wanted).square().mean(1, keepdim=True)
    if loom.weight:
        squares = squares * loom.weight(batch.time, squares.ndim)
    return (batch.mask * squares).sum() / batch.mask.sum().clamp(min=1e-6)
