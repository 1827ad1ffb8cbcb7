"""The encoders of all modalities, side by side, and the temperature of their shared space."""

from collections.abc import Collection, Mapping

import torch
from torch import nn

from medgen.align.central import Batch, Given
from medgen.align.temperature import Temperature
from medgen.encoders.image import ImageEncoder
from medgen.encoders.text import TextEncoder
from medgen.modality import Modality


class Aligner(nn.Module):
    """`aligner(batch) -> embeddings`; every encoder is a part of its own in a model folder.

    Args:
        encoders: One for each modality. The last layer of each projects into the shared space.

    Raises:
        ValueError: If their embeddings are not of one length.
    """

    def __init__(self, encoders: Mapping[Modality, TextEncoder | ImageEncoder]) -> None:
        super().__init__()
        lengths = {str(name): encoder.config.embedding for name, encoder in encoders.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"embeddings of different lengths cannot be aligned: {lengths}")
        self.encoders = nn.ModuleDict({str(name): one for name, one in encoders.items()})
        self.temperature = Temperature()
        self.embedding = max(lengths.values())

    def forward(self, batch: Batch) -> dict[Modality, Given]:
        """Embed what is given; zeros stand for what is not.

        Args:
            batch: Token numbers for text, images otherwise. A modality that no study has may be
                left out.

        Returns:
            Every modality that has an encoder, in the order of the encoders.
        """
        names = map(Modality, self.encoders)
        present = next(iter(batch.values())).present
        nobody = Given(torch.zeros(len(present), 0), torch.zeros_like(present))
        return {name: self._embed(name, batch.get(name, nobody)) for name in names}

    def train_only(self, modalities: Collection[Modality]) -> None:
        """Freeze all encoders but these; the temperature is always trained."""
        for name, encoder in self.encoders.items():
            encoder.requires_grad_(Modality(name) in modalities)

    def _embed(self, name: Modality, given: Given) -> Given:
        """The embeddings of one modality; its encoder sees only the studies that have it."""
        scale = self.temperature.log_scale
        embeddings = scale.new_zeros(len(given.present), self.embedding)
        if given.present.any():
            encoded = self.encoders[name](given.rows[given.present])
            embeddings = embeddings.index_put((given.present,), encoded.embedding)
        return Given(embeddings, given.present)
