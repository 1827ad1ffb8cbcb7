"""What a codec is trained on: closeness, the look of its texture, and a critic."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn
from torch.func import functional_call

from medgen.config import check_least
from medgen.latents.kl import KLCodec
from medgen.latents.perceptual import RandomFeatures
from medgen.latents.posterior import divergence, sampled
from medgen.shapes import Image

SMALL = 0.02  # scales the critic's loss: its gradient must not use up the norm they are clipped to


@dataclass(frozen=True)
class KLLossConfig:
    """How much each term counts beside the mean absolute error.

    Attributes:
        divergence: The Kullback-Leibler divergence from a unit Gaussian, of each number.
        perceptual: What random convolutions see.
        adversarial: What the critic says.
        adversarial_from: Steps before it is asked; until then there is nothing to see but blur.
        critic_width: Channels of its first layer.
        latent_noise: On latents of mean square 1, the standard deviation of errors that the decoder
            has to bear: those that a flow makes are never quite right.
    """

    divergence: float = 2e-4
    perceptual: float = 0.5
    adversarial: float = 0.005
    adversarial_from: int = 500
    critic_width: int = 24
    latent_noise: float = 0.0

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        check_least(self, 0, *(each.name for each in fields(self)))
        check_least(self, 1, "critic_width")


class CodecTraining(nn.Module):
    """A codec and its critic, trained by one optimizer; neither feels the other's loss.

    Both compare images as the codec sees them, companded.

    Args:
        codec: What is trained.
        config: Weights of the terms.
    """

    def __init__(self, codec: KLCodec, config: KLLossConfig) -> None:
        super().__init__()
        dims = codec.config.spatial_dims
        self.codec = codec
        self.config = config
        self.critic = PatchDiscriminator(
            dims, config.critic_width, 1, num_layers_d=2, norm="INSTANCE", bias=True
        )
        self.seen = RandomFeatures(dims)
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, image: Image, noise: Tensor) -> Mapping[str, Tensor]:
        """The terms of a step, and their `total`; the steps are counted here.

        Args:
            image: In [-1, 1].
            noise: Unit Gaussian, as large as the latent.
        """
        is_asked = self.config.adversarial > 0 and int(self.steps) >= self.config.adversarial_from
        terms = self.terms(image, noise, is_asked=is_asked)
        if self.training:
            self.steps += 1
        return {"total": terms.pop("total"), **{name: one.detach() for name, one in terms.items()}}

    def terms(self, image: Image, noise: Tensor, *, is_asked: bool) -> dict[str, Tensor]:
        """The same, whatever step it is.

        Args:
            image: In [-1, 1].
            noise: Unit Gaussian, as large as the latent.
            is_asked: Whether the critic is.
        """
        posterior = self.codec.posterior(image)
        wrong = self.config.latent_noise * self.codec.scale * noise
        made = self.codec.rebuild(sampled(posterior, noise) + wrong)
        seen = self.codec.config.companding
        image, made = seen.compress(image), seen.compress(made)
        terms = {
            "absolute": (made - image).abs().mean(),
            "divergence": divergence(posterior).mean(),
            "perceptual": self.seen(made, image),
        }
        total = terms["absolute"] + self.config.perceptual * terms["perceptual"]
        total = total + self.config.divergence * terms["divergence"]
        fooled, critic = (
            (self.fooled(made), self.doubts(image, made)) if is_asked else (total * 0, total * 0)
        )
        total = total + self.config.adversarial * fooled + SMALL * critic
        return {"total": total, **terms, "fooled": fooled, "critic": critic}

    def fooled(self, made: Image) -> Tensor:
        """The codec's part of the hinge loss; the critic does not learn from it."""
        fixed = {name: value.detach() for name, value in self.critic.state_dict().items()}
        answer: Tensor = functional_call(self.critic, fixed, (made,))[-1]
        return -answer.mean()

    def doubts(self, image: Image, made: Image) -> Tensor:
        """The critic's part; the codec does not learn from it.

        Source: the hinge is Lim & Ye 2017 (arXiv:1705.02894).
        """
        real, false = self.critic(image)[-1], self.critic(made.detach())[-1]
        loss: Tensor = F.relu(1 - real).mean() + F.relu(1 + false).mean()
        return loss
