"""Train a codec: images of a manifest in, a part that turns them into latents and back out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from medgen.checkpoint import model_folder, read_card
from medgen.diffusion.noise import generator_for
from medgen.errors import UsageError
from medgen.latents.codec import pad_to
from medgen.latents.kl import KLCodec, KLCodecConfig
from medgen.latents.kl_loss import CodecTraining, KLLossConfig
from medgen.modality import FACTS, Modality
from medgen.tasks.codecs.images import FrameConfig, framed_images, random_patch
from medgen.tasks.codecs.model import CodecPart, codec_part, load_codec, save_codec
from medgen.tasks.fitting.chosen import with_modality
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.freeze import freeze
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.shape import keep_shape
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.model_parts import DECODES
from medgen.tasks.studies import one_of

CALIBRATED_ON = 200  # images, about: a latent has a thousand cells and more


def base_codec(modality: Modality) -> KLCodecConfig:
    """The usual size of a codec: eight pixels a side of a radiograph are a cell, four voxels."""
    if FACTS[modality].axes == 2:
        return KLCodecConfig()
    return KLCodecConfig(
        spatial_dims=3, latent_channels=16, widths=(32, 64), offset=-1.0, principal=True
    )


@dataclass(frozen=True)
class CodecTrainConfig:
    """What `medgen train --round codec:…` is asked to do."""

    modality: Modality = Modality.XRAY  # whose images it takes
    name: str = ""  # tells it from others of its modality; the usual one has none
    init: str | None = None  # a model whose other parts are kept, and whose codec goes on
    freeze: tuple[str, ...] = ()  # modules that stay as they are, such as network.encoder
    patch: int | None = None  # side of the patches it learns from; 128 pixels or 48 voxels
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps radiographs as the codec takes them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    frame: FrameConfig = field(default_factory=FrameConfig)
    codec: KLCodecConfig = field(default_factory=KLCodecConfig)
    loss: KLLossConfig = field(default_factory=KLLossConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=4000, batch=8, learning_rate=1e-3, ema_decay=0.995, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if self.modality is Modality.TEXT:
            raise UsageError("reports have a codec of their own: --round codec:text")
        if self.name and not self.name.isalnum():
            raise UsageError(f"name {self.name}: choose letters and digits")
        axes, stride = FACTS[self.modality].axes, 2 ** len(self.codec.widths)
        if self.codec.spatial_dims != axes:
            raise UsageError(
                f"codec.spatial_dims {self.codec.spatial_dims}: {self.modality} has {axes}"
            )
        for word, side in (("patches", self.side), ("radiographs", self.frame.side)):
            if side % stride or side < 1:
                raise UsageError(f"{word} of {side}: choose a multiple of {stride}")
        for word, spacing in (("spacing", self.frame.spacing), ("wide", self.frame.wide)):
            if not spacing > 0:
                raise UsageError(f"frame.{word} {spacing:g}: choose millimetres above 0")
        if not 0 <= self.max_bad <= 1:
            raise UsageError("max_bad must be in [0, 1]")

    @property
    def part(self) -> str:
        """Its name in a model folder."""
        return codec_part(self.modality, self.name)

    @property
    def side(self) -> int:
        """Of the patches, pixels or voxels."""
        return (128 if FACTS[self.modality].axes == 2 else 48) if self.patch is None else self.patch


class CodecItem(NamedTuple):
    """A patch of an image, and the noise of its latent."""

    image: Tensor
    noise: Tensor


@dataclass(frozen=True)
class CodecItems:
    """Item number -> item: a pure function, whatever was asked before."""

    images: Sequence[Tensor]
    side: int
    config: KLCodecConfig
    seed: int

    def __call__(self, number: int) -> CodecItem:
        """A patch from anywhere."""
        generator = generator_for(self.seed, number)
        image = random_patch(one_of(self.images, generator), self.side, generator)
        grid = [size // 2 ** len(self.config.widths) for size in image.shape[1:]]
        noise = torch.randn((self.config.latent_channels, *grid), generator=generator)
        return CodecItem(image, noise)


def codec_loss(training: CodecTraining, items: Sequence[CodecItem]) -> Mapping[str, Tensor]:
    """The training loss of a batch, as `fit` wants it."""
    device = next(training.parameters()).device
    image, noise = (torch.stack(each).to(device) for each in zip(*items, strict=True))
    return training(image, noise)


def train_codec(
    config: CodecTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a codec and write `out/model`: all of `init`, and the codec.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with such images; those of split `train`, or without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "codec", "generate")  # its mistakes must not wait for the end
    codec, config, is_new = _start(config)
    images = _images(config, manifest)
    if is_new:
        codec.fit_linear(_some(images, codec))
    freeze(codec, config.freeze)
    training = CodecTraining(codec, config.loss)
    items = CodecItems(images, config.side, config.codec, config.fit.seed)
    facts = {"config": facts_of(config), "images": len(images)}
    yield from fit(training, items, codec_loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        trained = {f"training-{config.part}": facts_of(config)}
        beside = model_folder(config.init) if config.init else None
        card = replace(card, steps=step, extra=trained)
        card = descended(card, beside, config.part)
        of_codec = {
            name.removeprefix("codec."): tensor
            for name, tensor in state.items()
            if name.startswith("codec.")
        }
        codec.load_state_dict(of_codec)
        if is_new or learns_to_encode(codec):
            calibrated(codec, images)
        save_codec(
            out / MODEL,
            card,
            CodecPart(config.modality, config.codec, config.frame, config.name),
            codec.state_dict(),
            beside=beside,
        )


def learns_to_encode(codec: KLCodec) -> bool:
    """Whether more of a codec is trained than its decoder; if not, its latents stay as they are."""
    return any(
        parameter.requires_grad and not name.startswith(DECODES)
        for name, parameter in codec.named_parameters()
    )


def calibrated(codec: KLCodec, images: Sequence[Tensor]) -> None:
    """Let the latents of some of the images have mean 0 and mean square 1."""
    codec.eval().calibrate(_some(images, codec))


def _some(images: Sequence[Tensor], codec: KLCodec) -> Iterator[Tensor]:
    """Some images, as the codec takes them."""
    every = max(1, len(images) // CALIBRATED_ON)
    for image in images[::every]:
        yield pad_to(image[None].float().to(codec.shift.device), codec.stride)


def _start(config: CodecTrainConfig) -> tuple[KLCodec, CodecTrainConfig, bool]:
    """The codec of `init`, or a new one, and whether it is new."""
    if config.init and config.part in read_card(model_folder(config.init)).parts:
        loaded = load_codec(config.init, config.modality, torch.device("cpu"), config.name)
        own = (loaded.codec.config, loaded.frame)
        keep_shape((config.codec, config.frame), own, (base_codec(config.modality), FrameConfig()))
        return loaded.codec.train(), replace(config, codec=own[0], frame=own[1]), False
    torch.manual_seed(config.fit.seed)
    return KLCodec(config.codec), config, True


def _images(config: CodecTrainConfig, manifest: Path) -> list[Tensor]:
    give_back_large_arrays()
    chosen = with_modality(manifest, config.modality, allow_outside=config.allow_outside)
    cache = Path(config.cache) if config.cache else None
    reading = framed_images(
        chosen, config.modality, config.frame, cache=cache, max_bad=config.max_bad
    )
    return [image for _, images in reading for image in images]
