"""Weaving: a template walked again from its noise, with concepts in their regions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.concepts.concept import Concept, Said
from medgen.concepts.fusion import Fusion
from medgen.concepts.template import Injection, Template
from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.guidance import guide
from medgen.diffusion.prediction import Prediction, to_clean, to_noise
from medgen.diffusion.process import AbstractProcess
from medgen.diffusion.sampler import Step, sample_ddim, stretches
from medgen.diffusion.schedule import Stops
from medgen.diffusion.unet import UNet
from medgen.shapes import Context, Latent, Time

Predict = Callable[[Latent, Time, Context], Tensor]
"""Noisy latent, time and context in; what the network predicts out."""


@dataclass(frozen=True)
class Loom:
    """The network that weaves, and what its numbers mean.

    Attributes:
        predict: The flow's prediction of a noisy latent.
        network: Its U-Net, to which concepts and injections attach.
        process: How clean and noise mix.
        prediction: What it predicts.
        patch: Cells of the latent along each axis that the network takes as one.
        weight: How much a squared error counts at each time, on so many axes; None: all alike.
    """

    predict: Predict
    network: UNet
    process: AbstractProcess
    prediction: Prediction = Prediction.FLOW
    patch: int = 1
    weight: Callable[[Time, int], Tensor] | None = None

    def clean(self, noisy: Latent, time: Time, context: Said) -> Latent:
        """The clean latent that the network sees."""
        told = context.expand(len(noisy), -1, -1)
        predicted = self.predict(noisy, time, told)
        return to_clean(self.prediction, self.process.at(time), noisy, predicted)

    def denoise(self, context: Said) -> Denoise:
        """The same as a denoiser, told something."""
        return lambda noisy, time: self.clean(noisy, time, context)


@dataclass(frozen=True)
class Pattern:
    """What is woven where.

    Attributes:
        concepts: The concepts.
        shares: Of each in each cell of the latent, then of the background; they sum to one.
        source: What the template is told, and the background with it; the concepts are pushed
            away from it.
        guidance: How hard: 0 ignores the concepts, 1 does not push. The paper's omega.
        suppression: The same in the features of cross-attention: the paper's lambda, 0 for none.
        injection: What the template lends.
    """

    concepts: Sequence[Concept]
    shares: Float[Tensor, "parts *grid"]
    source: Said
    guidance: float = 2.0
    suppression: float = 0.0
    injection: Injection = field(default_factory=Injection)

    @property
    def where(self) -> Float[Tensor, "concepts *grid"]:
        """The shares of the concepts."""
        return self.shares[:-1]


def weave_features(
    loom: Loom, pattern: Pattern, template: Template, stops: Stops
) -> Iterator[Step]:
    """Yield every step of weaving in the features of cross-attention.

    The template, the woven latent and the woven latent without concepts are one batch, so that the
    first lends its features to the others in the same pass.

    Args:
        loom: The network.
        pattern: What is woven where.
        template: Inverted on the same stops, told `pattern.source`.
        stops: Decreasing times.

    Source: Kwon et al. 2024, section 3.4 (arXiv:2404.03913).
    """
    nowhere = torch.zeros_like(pattern.where)
    where = torch.stack([nowhere, pattern.where, nowhere])
    fusion = Fusion(
        pattern.concepts,
        [one.context for one in pattern.concepts],
        where,
        patch=loom.patch,
        suppression=pattern.suppression,
    )
    anywhere = pattern.where.sum(0, keepdim=True).expand(3, *[-1] * where[0].ndim)
    first, clean_at = float(stops[0]), float(stops[-1])

    def denoise(latent: Latent, time: Time) -> Latent:
        done = (first - float(time)) / (first - clean_at)
        noisy = torch.cat([template.at(time), latent, latent])
        told = pattern.source.expand(3, -1, -1)
        lent = pattern.injection.attached(loom.network, done, anywhere, patch=loom.patch)
        with fusion.attached(loom.network), lent:
            predicted = loom.predict(noisy, time, told)
        _, woven, plain = to_clean(loom.prediction, loom.process.at(time), noisy, predicted).split(
            1
        )
        return guide(plain, woven, pattern.guidance)

    yield from sample_ddim(denoise, loom.process, template.noise, stops)


@torch.no_grad()
def weave_estimates(
    loom: Loom, pattern: Pattern, template: Template, stops: Stops
) -> Iterator[Step]:
    """Yield every step of weaving by mixing estimates of the clean latent.

    Each concept is asked for the whole latent, and its estimate is taken in its cells; the
    background's estimate is the template itself. What remains of the noise is what the network
    sees without concepts, so that guidance bends no path.

    Args:
        loom: The network.
        pattern: What is woven where; features are not used.
        template: Inverted on the same stops.
        stops: Decreasing times.

    Source: Kwon & Ye 2024 (arXiv:2410.05591); the noise is that of Chung et al. 2024
    (arXiv:2406.08070).
    """
    ones = torch.ones_like(pattern.where[None, :1])
    shares = pattern.shares[:, None, None]
    latent = template.noise
    for stretch in stretches(loom.process, stops, latent):
        plain = loom.clean(latent, stretch.now, pattern.source)
        mixed = shares[-1] * template.clean
        for share, concept in zip(shares, pattern.concepts, strict=False):
            fusion = Fusion([concept], [concept.context], ones, patch=loom.patch)
            with fusion.attached(loom.network):
                told = loom.clean(latent, stretch.now, concept.context)
            mixed = mixed + share * guide(plain, told, pattern.guidance)
        noise = to_noise(stretch.here, latent, plain)
        latent = stretch.there.alpha * mixed + stretch.there.sigma * noise
        yield Step(stretch.after, latent, mixed)
