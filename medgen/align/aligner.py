"""The encoders of all modalities, side by side, and the temperature of their shared space."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from medgen.align.central import Batch, Given
from medgen.align.grounding import Grounding, Logits
from medgen.align.temperature import Temperature
from medgen.encoders.encoded import Encoded
from medgen.encoders.image import ImageEncoder
from medgen.encoders.text import TextEncoder
from medgen.modality import Modality
from medgen.shapes import Image


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
        self.grounding = nn.ModuleDict()
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
        return self.grounded(batch)[0]

    def grounded(self, batch: Batch) -> tuple[dict[Modality, Given], dict[Modality, list[Logits]]]:
        """As `forward`, and what the cells of the grounded encoders find, of the studies present.

        A modality that no study has finds nothing.
        """
        found: dict[Modality, list[Logits]] = {}
        return self._embedded(batch, partial(self._encode, found)), found

    def read(self, batch: Batch) -> dict[Modality, Given]:
        """As `forward`, from the coarsest grid of features of each image instead of the image."""
        return self._embedded(batch, lambda name, rows: self.image_encoder(name).read(rows))

    def ground(self, modalities: Collection[Modality], findings: int, *, seed: int) -> None:
        """Let these encoders of images also learn where so many findings are."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name in modalities:
                self.grounding[name] = Grounding(self.image_encoder(name).config, findings)

    def find(self, name: Modality, patches: Image) -> list[Logits]:
        """What the convolutions of a grounded encoder find in patches of images."""
        found: list[Logits] = self.grounding[name](self.image_encoder(name).features(patches))
        return found

    def train_only(self, modalities: Collection[Modality], *, has_features: bool = True) -> None:
        """Freeze all encoders but these; the temperature is always trained.

        Args:
            modalities: What learns.
            has_features: Of images, what makes their features, too.
        """
        for name, encoder in self.encoders.items():
            encoder.requires_grad_(Modality(name) in modalities)
            if isinstance(encoder, ImageEncoder) and not has_features:
                encoder.eyes.requires_grad_(False)

    def _embedded(
        self, batch: Batch, encode: Callable[[Modality, Tensor], Encoded]
    ) -> dict[Modality, Given]:
        present = next(iter(batch.values())).present
        nobody = Given(torch.zeros(len(present), 0), torch.zeros_like(present))
        embedded: dict[Modality, Given] = {}
        for name in map(Modality, self.encoders):
            given = batch.get(name, nobody)
            embeddings = self.temperature.log_scale.new_zeros(len(present), self.embedding)
            if given.present.any():
                encoded = encode(name, given.rows[given.present])
                embeddings = embeddings.index_put((given.present,), encoded.embedding)
            embedded[name] = Given(embeddings, given.present)
        return embedded

    def _encode(self, found: dict[Modality, list[Logits]], name: Modality, rows: Tensor) -> Encoded:
        """As its encoder does; what the cells of a grounded one find is added to `found`."""
        if name not in self.grounding:
            encoded: Encoded = self.encoders[name](rows)
            return encoded
        encoder = self.image_encoder(name)
        features = encoder.features(rows)
        encoded = encoder.read(features[-1])
        found[name] = self.grounding[name](features, encoded)
        return encoded

    @property
    def text_encoder(self) -> TextEncoder:
        """Of reports and prompts."""
        encoder = self.encoders[Modality.TEXT]
        assert isinstance(encoder, TextEncoder)
        return encoder

    def image_encoder(self, name: Modality) -> ImageEncoder:
        """Of the images of a modality."""
        encoder = self.encoders[name]
        assert isinstance(encoder, ImageEncoder)
        return encoder
