"""What the translator is trained to do: least absolute error at once, the mean in steps.

At time 1 the error that counts is the absolute error in the image, HU for HU, and at first some of
its square, without which thin bone takes hours to be noticed. Not so for real pairs: they lie some
millimetres apart, and squares would count that more than anything that can be learned. Below, the
squared error of the latent, whose minimum is the conditional mean that a diffusion sampler needs.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from medgen.tasks.translator.examples import Example
from medgen.tasks.translator.translator import CT, HU_PER_UNIT, Sources, Translator

KILO_HU_PER_UNIT = HU_PER_UNIT / 1000
MRI_WEIGHT = 0.5  # an error of half an MRI's range counts as much as 500 HU
SQUARES = 0.5  # weight of the regression's squared error: bone that is missed pulls harder
DIFFUSION_WEIGHT = 0.5  # of the squared error, so that both engines' gradients are of one size


def translator_loss(
    translator: Translator, items: list[Example], *, squares: float = SQUARES
) -> Mapping[str, Tensor]:
    """The training loss of a batch, as `fit` wants it.

    Args:
        translator: In training mode.
        items: The batch.
        squares: Weight of the squared error of regressions whose images are aligned, per (1000 HU)²
            or (MRI's range)².

    Returns:
        `total`, and of the regressions in the batch `ct` (kilo-HU) and `mri` (image units), 0
        where there are none.
    """
    device = next(translator.parameters()).device
    predictions, truths, weights = _predict(translator, items, device)
    terms: dict[str, list[Tensor]] = {"ct": [], "mri": [], "diffusion": []}
    totals = []
    for item, predicted, true, weight in zip(items, predictions, truths, weights, strict=True):
        if item.time < 1:
            coarse = F.avg_pool3d(weight[None], 2)[0]
            error = _mean((predicted - true).square(), coarse)
            terms["diffusion"].append(error)
            totals.append(DIFFUSION_WEIGHT * error)
            continue
        codec = translator.codec(item.kind)
        image, truth = codec.decode(predicted[None])[0], codec.decode(true[None])[0]
        is_ct = item.kind == CT
        wrong = (image - truth) * (KILO_HU_PER_UNIT if is_ct else 1)
        error = _mean(wrong.abs(), weight)
        terms["ct" if is_ct else "mri"].append(error)
        pulled = error
        if item.is_aligned:
            pulled = error + squares * _mean(wrong.square(), weight)
        totals.append(pulled if is_ct else MRI_WEIGHT * pulled)
    zero = totals[0].detach() * 0
    means = {name: torch.stack(e).mean().detach() if e else zero for name, e in terms.items()}
    return {"total": torch.stack(totals).mean(), **means}


def _predict(
    translator: Translator, items: list[Example], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted and true clean latents of a batch, and the weights of their voxels."""

    def batch(name: str) -> Tensor:
        return torch.stack([getattr(item, name) for item in items]).to(device)

    kinds = [item.kind for item in items]
    target, present = batch("target"), batch("present")
    clean = torch.cat(
        [translator.codec(kind).encode(target[at : at + 1]) for at, kind in enumerate(kinds)]
    )
    time = torch.tensor([item.time for item in items], device=device)
    mix = translator.process.at(time.reshape(-1, 1, 1, 1, 1))
    noisy = mix.alpha * clean + mix.sigma * batch("noise")
    source = translator.encode(Sources(batch("images"), present))
    predicted = translator(noisy, time, source, translator.conditions(kinds, present))
    return predicted, clean, batch("weight")


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    return (error * weight).sum() / (weight.sum() * error.shape[0] / weight.shape[0]).clamp(min=1)
