"""Train the spots of a finder: volumes with masks in, a finder that sees what is small out."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from medgen.checkpoint import model_folder
from medgen.config import check_once
from medgen.encoders.finder import Finder, FinderConfig
from medgen.encoders.spots import Spots
from medgen.errors import UsageError
from medgen.modality import FACTS, Kind
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.model import FinderPart, LoadedFinder, load_finder, save_finder
from medgen.tasks.finder.spots_items import SpotItems, spots_loss
from medgen.tasks.finder.studies import learned_and_held
from medgen.tasks.finder.worth import learn_worth
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.snapshots import averaged_weights


@dataclass(frozen=True)
class SpotsTrainConfig:
    """What `medgen train --round report:spots` is asked to do."""

    init: str = "flows"  # a model with a finder that reads volumes
    spots: tuple[str, ...] = ()  # findings with masks; those the finder looks for, if not said
    spot_width: int = 24  # channels of the convolutions
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as encoders take them
    calibrate: str | None = None  # manifest of what calibrates the answers; if none, a tenth
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
        check_once(self, "spots")


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
    if unknown := [name for name, drawn in items.drawn.items() if not drawn]:
        known = ", ".join(sorted({name for one in items.volumes for name in one.masks or ()}))
        raise UsageError(
            f"spots: nobody drew {', '.join(unknown)} in a volume; drawn: {known or 'nothing'}"
        )
    torch.manual_seed(config.fit.seed)
    finder = _finder(before, shape)
    training = nn.ModuleDict({kind: _spots_of(finder, kind) for kind in deep}).requires_grad_()
    facts = {"config": facts_of(config), "volumes": len(volumes)}
    yield from fit(training, items, spots_loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        training.load_state_dict(state)
        worth = learn_worth(finder.cpu().eval(), held)  # its spots may be on a GPU
        was = before.calibration
        worth = replace(
            worth, sized=was.sized, graded=was.graded, placed=was.placed, foreign=was.foreign
        )
        part = FinderPart(shape, before.standard, worth)
        init = model_folder(config.init)
        extra = {"training-spots": facts_of(config)}
        card = descended(replace(card, steps=step, extra=extra), init, "finder")
        usual = nn.ModuleDict(before.usual)
        save_finder(out / MODEL, card, part, finder.state_dict(), usual, beside=init)


def _with_spots(own: FinderConfig, config: SpotsTrainConfig) -> FinderConfig:
    """The finder's shape, with the spots that it has or is to get."""
    if not (config.spots or own.spots):
        raise UsageError("spots: name findings with masks, such as nodule")
    if own.spots and config.spots not in ((), own.spots):
        raise UsageError(f"spots: this finder looks for {', '.join(own.spots)}; leave them out")
    if own.spots and config.spot_width not in (own.spot_width, FinderConfig.spot_width):
        raise UsageError(f"spot_width: the finder's spots have {own.spot_width}; leave it out")
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
