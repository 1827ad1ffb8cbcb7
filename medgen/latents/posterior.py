"""What a variational encoder says of its input: a Gaussian for each number of the latent."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from medgen.shapes import Latent

LOG_VARIANCE = (-30.0, 20.0)  # what an encoder may say; as in latent diffusion


class Posterior(NamedTuple):
    """Where a latent lies, before it is shifted and scaled."""

    mean: Latent
    log_variance: Latent


def sampled(posterior: Posterior, noise: Float[Tensor, "batch latent *grid"]) -> Latent:
    """A raw latent drawn from the posterior with this unit Gaussian noise."""
    return posterior.mean + (0.5 * posterior.log_variance).exp() * noise


def divergence(posterior: Posterior) -> Float[Tensor, "batch latent *grid"]:
    """Kullback-Leibler divergence of each number from a unit Gaussian, nats.

    Source: Kingma & Welling 2014, appendix B (arXiv:1312.6114).
    """
    mean, spread = posterior
    return 0.5 * (mean.square() + spread.exp() - 1 - spread)
