"""Train the spots of a finder: crops of volumes in, log-odds of what is small in them out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medgen.align.grounding import PRESENT
from medgen.checkpoint import model_folder
from medgen.diffusion.noise import generator_for
from medgen.encoders.finder import Finder, FinderConfig
from medgen.encoders.spots import Spots
from medgen.errors import UsageError
from medgen.modality import FACTS, Kind
from medgen.tasks.align_studies import one_of
from medgen.tasks.distributed import join
from medgen.tasks.finder_config import FinderTrainConfig
from medgen.tasks.finder_items import FinderImage
from medgen.tasks.finder_model import FinderPart, LoadedFinder, load_finder, new_usual, save_finder
from medgen.tasks.finder_studies import learned_and_held
from medgen.tasks.finder_worth import learn_worth
from medgen.tasks.fit import MODEL, Progress, fit
from medgen.tasks.fit_config import FitConfig
from medgen.tasks.run_card import card_of, descended, facts_of
from medgen.tasks.snapshots import averaged_weights

CELLS = 12  # along each edge of a crop; each is two voxels wide
OFF = 4  # cells that the middle of a crop may be off its finding's, along each axis
ABOUT = 0.75  # share of the crops that lie about a finding
WEIGHT = 5.0  # of a cell with a finding: there are few


@dataclass(frozen=True)
class SpotsTrainConfig:
    """What `medgen train --round report:spots` is asked to do."""

    init: str = "flows"  # a model with a finder that reads volumes
    spots: tuple[str, ...] = ()  # findings with masks; those the finder looks for, if not said
    spot_width: int = 24  # channels of the convolutions
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as encoders take them
    calibrate: str | None = None  # manifest of what calibrates the answers; None: every tenth
    card: str | None = None  # TOML with name, summary, licence and data of the model
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=4000, batch=16, learning_rate=2e-3, ema_decay=0.99, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if self.spot_width < 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("spot_width must be 1 or more, and max_bad in [0, 1]")
        if len(set(self.spots)) < len(self.spots):
            raise UsageError("spots: name each finding once")


@dataclass(frozen=True)
class Crop:
    """A part of a volume, and where each finding lies in it: 0 or 1 for cells of two voxels."""

    kind: str
    volume: Float[Tensor, "channels i j k"]
    there: Float[Tensor, "findings _ _ _"]


class SpotItems:
    """Item number -> crop: a pure function, whatever was asked before.

    Most lie about a finding: each finding is as likely, however rare, and each volume with it. All
    may be mirrored, since a spot has no side.

    Args:
        volumes: With masks.
        spots: The findings that are told apart.
        seed: Of the items.
    """

    def __init__(self, volumes: Sequence[FinderImage], spots: Sequence[str], seed: int) -> None:
        self.volumes = volumes
        self.spots = tuple(spots)
        self.seed = seed
        self.drawn = {
            name: [
                (volume, cells)
                for volume in volumes
                if len(cells := _there(volume, name).nonzero())
            ]
            for name in spots
        }

    def __call__(self, number: int) -> Crop:
        """A random crop."""
        generator = generator_for(self.seed, number)
        if float(torch.rand((), generator=generator)) < ABOUT:
            volume, cells = one_of(self.drawn[one_of(self.spots, generator)], generator)
            off = torch.randint(-OFF, OFF + 1, (3,), generator=generator)
            return self._cut(volume, one_of(list(cells), generator) + off, generator)
        volume = one_of(self.volumes, generator)
        size = torch.tensor(volume.view.shape[1:]) // 2
        return self._cut(volume, (torch.rand(3, generator=generator) * size).long(), generator)

    def _cut(self, image: FinderImage, middle: Tensor, generator: Generator) -> Crop:
        there = torch.stack([_there(image, name) for name in self.spots])
        room = (torch.tensor(there.shape[1:]) - CELLS).clamp(min=0)
        corner = torch.minimum((middle - CELLS // 2).clamp(min=0), room).tolist()
        cells = tuple(slice(at, at + CELLS) for at in corner)
        voxels = tuple(slice(2 * at, 2 * (at + CELLS)) for at in corner)
        axes = [axis for axis in (1, 2, 3) if float(torch.rand((), generator=generator)) < 0.5]
        volume = image.view[(slice(None), *voxels)].float()
        part = there[(slice(None), *cells)].float()
        return Crop(str(image.kind), volume.flip(axes), part.flip(axes))


def _there(image: FinderImage, name: str) -> Tensor:
    """The cells of a volume in which a finding is drawn."""
    assert image.masks is not None
    if name not in image.masks:
        return torch.zeros([size // 2 for size in image.view.shape[1:]], dtype=torch.bool)
    return image.masks[name] > PRESENT


def spots_loss(network: nn.Module, items: Sequence[Crop]) -> Mapping[str, Tensor]:
    """How badly the cells of crops tell what lies in them, in nats a cell.

    Args:
        network: A `ModuleDict` of the `Spots` of each kind.
        items: Crops of any of these kinds.
    """
    assert isinstance(network, nn.ModuleDict)
    device = next(network.parameters()).device
    errors = []
    for kind, spots in network.items():
        crops = [item for item in items if item.kind == kind]
        if crops:
            there = torch.stack([crop.there for crop in crops]).to(device)
            odds = spots(torch.stack([crop.volume for crop in crops]).to(device)).float()
            weight = 1 + (WEIGHT - 1) * there
            each = F.binary_cross_entropy_with_logits(odds, there, weight, reduction="none")
            errors.append(each.flatten(1).mean(1))
    return {"total": torch.cat(errors).mean()}


def train_spots(
    config: SpotsTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train the spots of a finder and write `out/model`: all of `init`, and a finder with them.

    Nothing else of the finder changes, but what its answers are worth.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with volumes and masks, and either facts or reports; those of split
            `train`, or without one. What calibrates the answers is chosen as by `train_finder`.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        ModelError: If `init` has no finder.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "reports", "report")  # its mistakes must not wait for the end
    before = load_finder(config.init, torch.device("cpu"))
    shape = _with_spots(before.finder.config, config)
    deep = _deep(shape)
    if not deep:
        raise UsageError(f"--init {config.init}: its finder reads no volumes, which spots are in")
    reading = FinderTrainConfig(
        max_bad=config.max_bad,
        allow_outside=config.allow_outside,
        cache=config.cache,
        calibrate=config.calibrate,
        finder=shape,
        standard=before.standard,
    )
    learned, held = learned_and_held(reading, manifest, wants_masks=True)
    images = (image for study in learned for image in study.images)
    volumes = [one for one in images if str(one.kind) in deep and one.masks is not None]
    items = SpotItems(volumes, shape.spots, config.fit.seed)
    if unknown := [name for name, volumes in items.drawn.items() if not volumes]:
        known = ", ".join(sorted({name for one in items.volumes for name in one.masks or ()}))
        raise UsageError(
            f"spots: nobody drew {', '.join(unknown)} in a volume; drawn: {known or 'nothing'}"
        )
    torch.manual_seed(config.fit.seed)
    finder = _finder(before, shape)
    training = nn.ModuleDict({kind: _spots_of(finder, kind) for kind in deep})
    facts = {"config": facts_of(config), "volumes": len(volumes)}
    yield from fit(training, items, spots_loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        training.load_state_dict(state)
        worth = learn_worth(finder.eval(), held)
        was = before.calibration
        worth = replace(
            worth, sized=was.sized, graded=was.graded, placed=was.placed, foreign=was.foreign
        )
        part = FinderPart(shape, before.standard, worth)
        usual = new_usual(shape)
        for kind, one in before.usual.items():
            usual[kind].load_state_dict(one.state_dict())
        init = model_folder(config.init)
        extra = {"training-spots": facts_of(config)}
        card = descended(replace(card, steps=step, extra=extra), init, "finder")
        save_finder(out / MODEL, card, part, finder.state_dict(), usual, beside=init)


def _with_spots(own: FinderConfig, config: SpotsTrainConfig) -> FinderConfig:
    """The finder's shape, with the spots that it has or is to get."""
    if not (config.spots or own.spots):
        raise UsageError("spots: name findings with masks, such as nodule")
    if own.spots and config.spots not in ((), own.spots):
        raise UsageError(f"spots: this finder looks for {', '.join(own.spots)}; leave them out")
    return own if own.spots else replace(own, spots=config.spots, spot_width=config.spot_width)


def _deep(shape: FinderConfig) -> tuple[str, ...]:
    """The kinds of volumes among those that a finder reads."""
    return tuple(one for one in shape.kinds if FACTS[Kind.parse(one).modality].axes == 3)


def _finder(before: LoadedFinder, shape: FinderConfig) -> Finder:
    """The finder of before, in a shape that may have more."""
    finder = Finder(shape)
    finder.load_state_dict(finder.state_dict() | before.finder.state_dict())
    return finder


def _spots_of(finder: Finder, kind: str) -> Spots:
    spots = finder.stack(Kind.parse(kind)).spots
    assert spots is not None
    return spots
