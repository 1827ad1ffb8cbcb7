"""A model's flow as a loom, and what it is told."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.concepts.concept import Said
from medgen.concepts.weaving import Loom
from medgen.errors import UsageError
from medgen.modality import FACTS, Kind
from medgen.shapes import Latent
from medgen.tasks.flows.conditions import Told, conditions_of, told_scan, told_texts
from medgen.tasks.generate import said_of, understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.generator import Generator, load_flows


@dataclass(frozen=True)
class Workshop:
    """A model that weaves scans of one kind.

    Attributes:
        loaded: Encoders, codec and flow.
        loom: The flow, frozen.
        kind: Of the scans.
        config: As `medgen generate` would make them.
    """

    loaded: Generator
    loom: Loom
    kind: Kind
    config: GenerateConfig

    @torch.no_grad()
    def said(self, text: str, spacing: float | None, more: tuple[Told, ...] = ()) -> Said:
        """What the flow hears of a text, and of anything else, about a scan of that spacing.

        Args:
            text: Empty for nothing.
            spacing: Of a volume's voxels, mm.
            more: Told besides.
        """
        encoders, flow = self.loaded.encoders, self.loaded.flows[self.kind.modality]
        told = list(more)
        if text or not more:
            words = said_of(understood(text, self.config), self.config) if text else ""
            told += told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [words])
        if spacing is not None and flow.config.spacings:
            told.append(told_scan(spacing, self.kind.contrast).to(self.loaded.device))
        return flow.conditioner(conditions_of([told])).clone()

    @torch.no_grad()
    def encode(self, image: torch.Tensor) -> Latent:
        """The latent of images in [-1, 1]."""
        codec = self.loaded.codecs[self.kind.modality].codec
        return codec.encode(image.to(self.loaded.device)).clone()

    @torch.no_grad()
    def decode(self, latent: Latent) -> torch.Tensor:
        """The image of a latent, about [-1, 1], on the CPU."""
        codec = self.loaded.codecs[self.kind.modality].codec
        return codec.decode(latent).float().cpu()

    def pooled(self, mask: Float[Tensor, "parts 1 *space"]) -> Float[Tensor, "parts 1 *grid"]:
        """The share of masks, on what the flow sees, in the cells of its latent."""
        stride = self.loaded.codecs[self.kind.modality].codec.stride
        pool = F.avg_pool2d if mask.ndim == 4 else F.avg_pool3d
        return pool(mask, stride).to(self.loaded.device)


def workshop(model: str, kind: Kind, device: str) -> Workshop:
    """Load a model that weaves scans of a kind; its flow does not learn any more.

    Raises:
        ModelError: If it is missing or damaged, or makes other modalities only.
        UsageError: If text is to be woven.
    """
    if not FACTS[kind.modality].axes:
        raise UsageError("text cannot be woven; give an image")
    loaded = load_flows(model, (kind.modality,), device)
    flow = loaded.flows[kind.modality].requires_grad_(False)
    loom = Loom(flow.predict, flow.unet, flow.process, patch=flow.config.patch, weight=flow.weight)
    word = f"{kind}:t1" if str(kind) == "mri" else str(kind)
    config = GenerateConfig(modality=word, model=model, device=device, unconditional=True)
    return Workshop(loaded, loom, kind, config)
