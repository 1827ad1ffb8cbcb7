"""The rounds of training: what each trains, and the sizes it comes in."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from medgen.config import resolve, to_mapping
from medgen.diffusion.unet import UNetConfig
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.tasks.codecs.report_train import ReportTrainConfig, train_report_codec
from medgen.tasks.codecs.train import CodecTrainConfig, base_codec, train_codec
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.spots_train import SpotsTrainConfig, train_spots
from medgen.tasks.finder.train import train_finder
from medgen.tasks.fitting.fit import Progress
from medgen.tasks.flows.flow import base_flow
from medgen.tasks.flows.train import FlowTrainConfig, train_flow
from medgen.tasks.instructing.archive_train import ArchiveTrainConfig, train_archive
from medgen.tasks.instructing.train import InstructTrainConfig, train_instruct
from medgen.tasks.joining.train import CrossTrainConfig, train_cross
from medgen.tasks.refining.train import RefineTrainConfig, train_refiner
from medgen.tasks.reporting.writer_train import WriterTrainConfig, train_writer
from medgen.tasks.train import TrainConfig, train

SMALLEST, LARGEST = 0.1, 20.0  # of the dial for widths
Settings = Mapping[str, Any]


@runtime_checkable
class Run(Protocol):
    """What trains: `tasks.train.train` and its like."""

    def __call__(
        self, config: Any, out: Path, *, manifest: Any, resume: bool = False
    ) -> Iterator[Progress]:
        """Train, and write `out/model`."""


@dataclass(frozen=True)
class Round:
    """One kind of training.

    Attributes:
        config: Its settings, a dataclass.
        run: What trains.
        presets: Settings by the name of a preset; `base` is there if it is not the defaults.
        widths: Where in the settings the widths are that `--size` scales.
        unit: Scaled widths are multiples of it, and of the heads and groups beside them.
    """

    config: type
    run: Run
    widths: tuple[str, ...]
    presets: Mapping[str, Settings] = field(default_factory=dict)
    unit: int = 8

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its settings."""
        return tuple(each.name for each in fields(self.config))

    @property
    def needs_manifest(self) -> bool:
        """Whether it learns from studies only; the translator simulates its own."""
        return self.config is not TrainConfig

    def settle(
        self,
        *,
        preset: str = "base",
        size: float = 1.0,
        file: Path | None = None,
        settings: tuple[str, ...] = (),
        flags: Settings | None = None,
    ) -> Any:
        """The settings from all their sources, as `config.resolve` has them.

        Args:
            preset: Name of a preset: the weakest source.
            size: Multiplies all widths at the end; they are rounded to what norms and heads
                divide, and never to the other side of what they were.
            file: What `--config` names.
            settings: What `--set` was given.
            flags: Options typed by a person.

        Raises:
            UsageError: For an unknown preset or setting, or a size that makes no sense.
        """
        if preset not in ("base", *self.presets):
            known = ", ".join(dict.fromkeys(("base", *self.presets)))
            raise UsageError(f"--preset {preset}: this round has {known}")
        if not SMALLEST <= size <= LARGEST:
            raise UsageError(f"--size {size:g}: choose {SMALLEST:g} to {LARGEST:g}")
        chosen = self.presets.get(preset, {})
        config: Any = resolve(self.config, preset=chosen, file=file, settings=settings, flags=flags)
        return config if size == 1 else _scaled(config, self.widths, size, self.unit)


def _scaled(config: Any, path: tuple[str, ...], size: float, unit: int) -> Any:
    name, *rest = path
    inner = getattr(config, name)
    if rest:
        return replace(config, **{name: _scaled(inner, tuple(rest), size, unit)})
    unit = math.lcm(unit, getattr(config, "heads", 1), getattr(config, "norm_groups", 1))
    if isinstance(inner, int):
        return replace(config, **{name: _width(inner, size, unit)})
    return replace(config, **{name: tuple(_width(width, size, unit) for width in inner)})


def _width(width: int, size: float, unit: int) -> int:
    near = max(unit, unit * round(width * size / unit))
    return min(near, width) if size < 1 else max(near, width)


def _codec(modality: Modality, tiny: list[int], paper: list[int]) -> Round:
    shape = to_mapping(base_codec(modality))
    return Round(
        CodecTrainConfig,
        train_codec,
        ("codec", "widths"),
        {
            "base": {"modality": str(modality), "codec": shape},
            "tiny": {
                "modality": str(modality),
                "codec": {**shape, "widths": tiny, "norm_groups": 8},
            },
            "paper": {
                "modality": str(modality),
                "codec": {**shape, "widths": paper, "res_blocks": 2, "latent_channels": 4},
            },
        },
    )


def _flow(modality: Modality, tiny: Settings, paper: Settings) -> Round:
    base = to_mapping(base_flow(modality))
    return Round(
        FlowTrainConfig,
        train_flow,
        ("flow", "widths"),
        {
            name: {"flow": {**base, **more}}
            for name, more in (("base", {}), ("tiny", tiny), ("paper", paper))
        },
        unit=8 if modality is Modality.TEXT else UNetConfig.norm_groups,
    )


def _reader(config: type, run: Run, modality: Modality) -> Round:
    name = str(modality)
    tiny = {"reader": {"width": 32, "layers": 1, "heads": 2}}
    return Round(
        config,
        run,
        ("reader", "width"),
        {"base": {"modality": name}, "tiny": {"modality": name, **tiny}},
    )


def _refine(modality: Modality, patch: int) -> Round:
    base = {"modality": str(modality), "patch": patch}
    tiny = {"refiner": {"widths": [8, 16]}, "patch": 32}
    return Round(
        RefineTrainConfig, train_refiner, ("refiner", "widths"), {"base": base, "tiny": base | tiny}
    )


def _cross(*pair: Modality) -> Round:
    names = [str(each) for each in pair]
    return Round(
        CrossTrainConfig,
        train_cross,
        ("cross", "width"),
        {
            "base": {"pair": names},
            "tiny": {"pair": names, "cross": {"width": 32, "embedding": 32, "heads": 2}},
            "paper": {  # of CoDi
                "pair": names,
                "cross": {"width": 1280, "embedding": 1280, "heads": 8},
            },
        },
    )


# `paper` is the networks of CoDi as it was released (Tang et al. 2023, arXiv:2305.11846), over
# the autoencoder of Stable Diffusion: 8 pixels a cell, 4 channels; the report latent has one cell.
CODI_CONTEXT = {"sources": [768, 768, 768, 768, 768], "width": 768, "length": 1, "heads": 8}
CODI_IMAGE = {
    "channels": 4,
    "patch": 1,
    "widths": [320, 640, 1280, 1280],
    "res_blocks": 2,
    "attention": [True, True, True, False],
    "heads": 8,
    "conditioner": CODI_CONTEXT,
}
CODI_TEXT = {"channels": 768, "grid": [1], "widths": [768], "res_blocks": 12, "heads": 12}
OPTIMUS = {"width": 768, "layers": 12, "heads": 12, "channels": 768, "length": 1}

ROUNDS = {
    "translator": Round(TrainConfig, train, ("translator", "widths")),
    "codec:xray": _codec(Modality.XRAY, [16, 16, 16], [128, 256, 512]),
    "codec:ct": _codec(Modality.CT, [16, 16], [128, 256]),
    "codec:mri": _codec(Modality.MRI, [16, 16], [128, 256]),
    "codec:text": Round(
        ReportTrainConfig,
        train_report_codec,
        ("codec", "width"),
        {"tiny": {"codec": {"width": 32, "layers": 1}}, "paper": {"codec": OPTIMUS}},
    ),
    "flow:xray": _flow(Modality.XRAY, {"widths": [32, 32]}, CODI_IMAGE),
    "flow:text": _flow(
        Modality.TEXT,
        {"widths": [32], "res_blocks": 2},
        {**CODI_TEXT, "conditioner": CODI_CONTEXT},
    ),
    "flow:ct": _flow(Modality.CT, {"widths": [32, 32]}, CODI_IMAGE),
    "flow:mri": _flow(Modality.MRI, {"widths": [32, 32]}, CODI_IMAGE),
    "report:finder": Round(
        FinderTrainConfig,
        train_finder,
        ("finder", "widths"),
        {"tiny": {"finder": {"widths": [16, 16, 32], "width": 32}}},
    ),
    "report:spots": Round(
        SpotsTrainConfig, train_spots, ("spot_width",), {"tiny": {"spot_width": 16}}
    ),
    "report:words": Round(
        WriterTrainConfig,
        train_writer,
        ("writer", "width"),
        {"tiny": {"writer": {"width": 32, "layers": 1}}},
    ),
    "text-xray": _cross(Modality.TEXT, Modality.XRAY),
    "text-ct": _cross(Modality.TEXT, Modality.CT),
    "ct-mri": _cross(Modality.CT, Modality.MRI),
    "retrieval": _reader(ArchiveTrainConfig, train_archive, Modality.XRAY),
    "retrieval:ct": _reader(ArchiveTrainConfig, train_archive, Modality.CT),
    "retrieval:mri": _reader(ArchiveTrainConfig, train_archive, Modality.MRI),
    "instruct": _reader(InstructTrainConfig, train_instruct, Modality.XRAY),
    "instruct:ct": _reader(InstructTrainConfig, train_instruct, Modality.CT),
    "instruct:mri": _reader(InstructTrainConfig, train_instruct, Modality.MRI),
    "refine:xray": _refine(Modality.XRAY, 128),
    "refine:ct": _refine(Modality.CT, 64),
    "refine:mri": _refine(Modality.MRI, 64),
}


def round_named(name: str) -> Round:
    """A round by the word of `--round`.

    Raises:
        UsageError: If there is none of that name.
    """
    if name not in ROUNDS:
        raise UsageError(f"--round {name}: is not one of {', '.join(ROUNDS)}")
    return ROUNDS[name]
