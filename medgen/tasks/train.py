"""Train: simulated heads and real pairs in, a model folder out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

import torch

from medgen.checkpoint import Card, TrainingRange
from medgen.config import check_least, to_mapping
from medgen.diffusion.modulated_unet import ModulatedUNet
from medgen.diffusion.noise import generators_for
from medgen.diffusion.still import with_fixed_norms
from medgen.diffusion.widen import can_widen, widened
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.phantom.anatomy import Anatomy, read_anatomies
from medgen.phantom.procedural import procedural_head
from medgen.tasks.fitting.chosen import to_train_on
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.freeze import freeze
from medgen.tasks.fitting.run_card import card_of
from medgen.tasks.fitting.snapshots import averaged_weights, newest
from medgen.tasks.translator.examples import ExampleConfig, Examples, Pair
from medgen.tasks.translator.loss import SQUARES, translator_loss
from medgen.tasks.translator.model import load_translator, save_translator
from medgen.tasks.translator.pairs import read_pairs
from medgen.tasks.translator.translator import Translator, TranslatorConfig

PROCEDURAL_HEADS = 4  # anatomies, each of which becomes many patients
SHOWN = 150  # examples that norms are measured on before they are fixed
SEEN = TrainingRange(spacing_mm=(0.4, 6.0), fov_mm=(40.0, 330.0), intensity={"ct": (-1100, 3500)})


@dataclass(frozen=True)
class TrainConfig:
    """What `medgen train` is asked to do."""

    labels: str | None = None  # head label maps, a file or a folder; None: procedural heads
    hold_out: tuple[str, ...] = ()  # label maps that stay unseen, by name
    init: str | None = None  # a model to start from; it may gain norms, detail, widths, a knee
    freeze: tuple[str, ...] = ()  # modules that stay as they are, such as network.down
    register: str = "none"  # none, or rigid: move each CT onto its MRI first
    allow_outside: bool = False  # the manifest may name files outside its folder
    card: str | None = None  # TOML with name, summary, licence and data of the model
    squares: float = SQUARES  # weight of squared errors beside absolute ones, where images agree
    translator: TranslatorConfig = field(default_factory=TranslatorConfig)
    examples: ExampleConfig = field(default_factory=ExampleConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=20_000, batch=2, learning_rate=1e-3, ema_decay=0.998, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a word that is not known."""
        if self.hold_out and self.labels is None:
            raise UsageError("--hold-out names label maps; give --labels too")
        if self.register not in ("none", "rigid"):
            raise UsageError(f"--register {self.register}: write none or rigid")
        check_least(self, 0, "squares")


def train(
    config: TrainConfig, out: Path, *, manifest: Path | None = None, resume: bool = False
) -> Iterator[Progress]:
    """Train a translator and write `out/model`, a folder that `--model` takes.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with a CT and an MRI; those of split `train`, or without one, are used
            for a share of `examples.real` of the examples. None: all are simulated.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If a label map or a study cannot be read.
        OutputError: If `out` cannot be written.
    """
    _card(config)  # a mistake in it must not wait for the end of the training
    translator, ancestor = _start(config)
    pairs = _pairs(config, manifest, translator.config.spacing)
    anatomies = [] if pairs and config.examples.real == 1 else _anatomies(config)
    slots = translator.config.mri_slots
    examples = Examples(anatomies, pairs, config.examples, config.fit.seed, slots)
    if config.translator.norm == "affine" and translator.config.norm == "instance":
        still = Translator(replace(translator.config, norm="affine")).train()
        if not (resume and newest(out)):  # a run that goes on has measured them
            still.network = _with_fixed_norms(translator, examples)
        translator = still
    config = replace(config, translator=translator.config)
    freeze(translator, config.freeze)
    facts = {"config": _facts(config), "studies": len(examples.pairs)}
    loss = partial(translator_loss, squares=config.squares)
    yield from fit(translator, examples, loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        write_model(out, config, ancestor)


def write_model(out: Path, config: TrainConfig, ancestor: Card | None = None) -> Card:
    """Make `out/model` from the newest snapshot of a run: its averaged weights, and a card."""
    step, state = averaged_weights(out)
    card = _card(config)
    lineage = (*ancestor.lineage, ancestor.digest) if ancestor else ()
    steps = step + (ancestor.steps if ancestor else 0)
    extra = {**card.extra, "training": _without_paths(_facts(config))}
    card = replace(card, steps=steps, lineage=lineage, extra=extra)
    return save_translator(out / MODEL, card, config.translator, state)


def _start(config: TrainConfig) -> tuple[Translator, Card | None]:
    """A new translator, or that of `init` with the shape it has, and the card it came with."""
    if config.init is None:
        torch.manual_seed(config.fit.seed)
        return Translator(config.translator), None
    loaded = load_translator(config.init, torch.device("cpu"))
    translator = loaded.translator
    if not _can_become(translator.config, config.translator):
        raise UsageError(
            f"--init {config.init}: has another shape ({translator.config}); "
            "leave the translator's settings out"
        )
    torch.manual_seed(config.fit.seed)  # of what is new in it
    if config.translator.detail and not translator.config.detail:
        translator = _with_detail(translator, config.translator.detail)
    return _widened(translator, config.translator).train(), loaded.card


def _can_become(shape: TranslatorConfig, wanted: TranslatorConfig) -> bool:
    """Whether each setting is left out, or is as it is, or can be had on the way."""
    usual = TranslatorConfig()
    differs = {
        setting.name
        for setting in fields(TranslatorConfig)
        if getattr(wanted, setting.name)
        not in (getattr(shape, setting.name), getattr(usual, setting.name))
    }
    gains = {"norm"}
    gains |= {name for name in ("detail", "knee") if not getattr(shape, name)}
    if can_widen(shape.widths, wanted.widths):
        gains.add("widths")
    return differs <= gains


def _with_detail(translator: Translator, channels: int) -> Translator:
    """The translator with detail layers, which at first say nothing."""
    grown = Translator(replace(translator.config, detail=channels))
    grown.load_state_dict(translator.state_dict(), strict=False)
    return grown


def _widened(translator: Translator, wanted: TranslatorConfig) -> Translator:
    """The translator with the widths and the knee that are asked for, which change nothing yet."""
    shape, usual = translator.config, TranslatorConfig()
    widths = shape.widths if wanted.widths == usual.widths else wanted.widths
    grown = Translator(replace(shape, widths=widths, knee=wanted.knee or shape.knee))
    inputs = grown.network.config.in_channels
    grown.network = widened(translator.network, widths, inputs=inputs)
    return grown


def _with_fixed_norms(translator: Translator, examples: Examples) -> ModulatedUNet:
    """Its network, with what the norms meet in the first examples fixed."""

    def show() -> None:
        for number in range(SHOWN):
            translator_loss(translator, [examples(number)])

    return with_fixed_norms(translator.network, show)


def _anatomies(config: TrainConfig) -> list[Anatomy]:
    if config.labels is None:
        generators = generators_for(config.fit.seed, range(PROCEDURAL_HEADS))
        return [procedural_head(generator) for generator in generators]
    found = read_anatomies(Path(config.labels))
    unknown = set(config.hold_out) - {anatomy.name for anatomy in found}
    if unknown:
        raise UsageError(f"--hold-out {', '.join(sorted(unknown))}: no such label map")
    kept = [anatomy for anatomy in found if anatomy.name not in config.hold_out]
    if not kept:
        raise UsageError("nothing to learn from: --hold-out leaves no label map")
    return kept


def _pairs(config: TrainConfig, manifest: Path | None, spacing: float) -> list[Pair]:
    if manifest is None:
        return []
    chosen = to_train_on(manifest, allow_outside=config.allow_outside)
    useful = [study for study in chosen if study.of(Modality.CT) and study.of(Modality.MRI)]
    if not useful:
        raise UsageError(f"{manifest}: nothing to learn from; no study to train on has CT and MRI")
    return list(read_pairs(useful, spacing=spacing, register=config.register == "rigid"))


def _facts(config: TrainConfig) -> dict[str, object]:
    """The settings that decide the weights; a resumed run must have the same."""
    facts = to_mapping(replace(config, card=None))
    facts.pop("fit")  # `fit` compares its own
    return json.loads(json.dumps(facts))


def _without_paths(facts: dict[str, object]) -> dict[str, object]:
    """The settings as a model may tell them to strangers: files by name, not by folder."""
    named = {key: Path(str(facts[key])).name for key in ("labels", "init") if facts.get(key)}
    return facts | named


def _card(config: TrainConfig) -> Card:
    """The card as far as a person writes it; the defaults say that nobody has."""
    card = card_of(config.card, "translator", "translate")
    return replace(card, training_range=card.training_range or SEEN)
