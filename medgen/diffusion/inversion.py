"""From a clean latent to the noise that DDIM would have made it from."""

from collections.abc import Iterator

import torch

from medgen.diffusion.denoiser import Denoise
from medgen.diffusion.prediction import to_noise
from medgen.diffusion.process import AbstractProcess
from medgen.diffusion.sampler import Step, Stretch, stretches
from medgen.diffusion.schedule import Stops
from medgen.shapes import Latent


@torch.no_grad()
def invert_ddim(
    denoise: Denoise,
    process: AbstractProcess,
    clean: Latent,
    stops: Stops,
    *,
    refinements: int = 0,
) -> Iterator[Step]:
    """Yield every step of the DDIM sampler run backwards, on the same stops.

    A backward step needs the noise seen at the latent it is about to reach. The first estimate
    sees it at the latent it comes from; each refinement looks again from where that led, which
    converges to the exact inverse of `sample_ddim`.

    Args:
        denoise: The denoiser that will sample again, with context and guidance already inside.
        process: How clean and noise mix.
        clean: The latent at `stops[-1]`: clean where that is 0.
        stops: The decreasing times of the sampler; they are walked from the last to the first.
        refinements: Evaluations beyond the first one, for every step.

    Yields:
        The latent at each earlier stop; the last one is the noise.

    Source: Song et al. 2021, section 4.3 (arXiv:2010.02502); refinements: Pan et al. 2023
    (arXiv:2309.04907).
    """
    latent = clean
    for stretch in reversed(list(stretches(process, stops, clean))):
        arrived = latent
        for _ in range(1 + refinements):
            seen = denoise(arrived, stretch.now)
            arrived = _rewind(latent, arrived, seen, stretch)
        latent = arrived
        yield Step(stretch.now, latent, seen)


def _rewind(latent: Latent, arrived: Latent, clean: Latent, stretch: Stretch) -> Latent:
    """The latent at the start of a stretch, from the one at its end and an estimate of the start.

    The clean latent seen at the estimate says half; the other half is what the end lacks. Where
    signal outweighs noise, that the noise seen is right and the clean latent follows; where noise
    outweighs signal, the other way round. Either would diverge in the place of the other.
    """
    here, there = stretch.here, stretch.there
    if bool((here.alpha * there.alpha > here.sigma * there.sigma).all()):
        noise = to_noise(here, arrived, clean)
        clean = (latent - there.sigma * noise) / there.alpha
    else:
        noise = to_noise(there, latent, clean)
    return here.alpha * clean + here.sigma * noise
