"""Latents of images as trainings take them, and those that an earlier run has computed already."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from medgen.data.view_cache import kept_array
from medgen.latents.codec import pad_to
from medgen.latents.kl import KLCodec


@dataclass(frozen=True)
class Encoding:
    """Images in, their latents out; what was computed before is read again.

    A kept latent is found by the voxels that it was made of and by the codec's weights, so that
    nothing has to be cleared when either changes.

    Attributes:
        codec: Where `device` is.
        device: Where to compute.
        cache: Folder of what was computed before; None keeps nothing.
    """

    codec: KLCodec
    device: torch.device
    cache: Path | None = None

    def __call__(
        self, images: Sequence[Float[Tensor, "1 *space"]]
    ) -> list[Float16[Tensor, "latent *grid"]]:
        """Latents of images, one by one: company would change their last bits.

        Raises:
            OutputError: If the cache cannot be written.
        """
        return [self._latent(image.float().contiguous()) for image in images]

    def _latent(self, image: Float[Tensor, "1 *space"]) -> Float16[Tensor, "latent *grid"]:
        if self.cache is None:
            return self._encoded(image)
        said = self._weights + str(tuple(image.shape)).encode()
        digest = hashlib.blake2b(said, digest_size=16)
        digest.update(image.cpu().numpy().tobytes())
        kept = kept_array(digest.hexdigest(), self.cache, lambda: self._encoded(image))
        return torch.from_numpy(np.asarray(kept))

    @torch.no_grad()
    def _encoded(self, image: Float[Tensor, "1 *space"]) -> Float16[Tensor, "latent *grid"]:
        padded = pad_to(image[None].to(self.device), self.codec.stride)
        latent: Tensor = self.codec.encode(padded)[0].half().cpu()
        return latent

    @cached_property
    def _weights(self) -> bytes:
        """Digest of what the codec computes with."""
        digest = hashlib.blake2b()
        for name, weight in self.codec.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.digest()
