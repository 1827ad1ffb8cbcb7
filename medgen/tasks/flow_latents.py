"""The latents that a flow learns to make, computed once before it is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float16
from torch import Tensor

from medgen.data.study import Study
from medgen.latents.codec import pad_to
from medgen.modality import Modality
from medgen.tasks.codec_images import framed_images
from medgen.tasks.codec_model import load_codec
from medgen.tasks.report_model import load_report_codec

Latents = dict[str, list[Float16[Tensor, "latent *grid"]]]
"""By a study's id."""


@torch.no_grad()
def image_latents(
    model: str | Path,
    modality: Modality,
    studies: Sequence[Study],
    device: torch.device,
    *,
    cache: Path | None = None,
    max_bad: float = 0.05,
) -> Latents:
    """The latents of the images of studies; a study whose images cannot be read is left out.

    Raises:
        ModelError: If the model has no codec of the modality.
        InputError: If more than that share of the studies cannot be read.
    """
    loaded = load_codec(model, modality, device)
    reading = framed_images(studies, modality, loaded.frame, cache=cache, max_bad=max_bad)
    return {
        name: [
            loaded.codec.encode(pad_to(image[None].float().to(device), loaded.codec.stride))[0]
            .half()
            .cpu()
            for image in images
        ]
        for name, images in reading
    }


@torch.no_grad()
def report_latents(
    model: str | Path, texts: Mapping[str, Sequence[str]], device: torch.device
) -> Latents:
    """The latents of all wordings of reports, by the study's id.

    Raises:
        ModelError: If the model has no codec of text.
    """
    loaded = load_report_codec(model, device)
    longest = loaded.codec.config.max_tokens
    latents: Latents = {}
    for name, wordings in texts.items():
        ids = loaded.tokenizer.encode(wordings, max_tokens=longest).ids.to(device)
        latents[name] = list(loaded.codec.encode(ids).half().cpu())
    return latents
