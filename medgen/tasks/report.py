"""Report: the images of a study in, a table of findings and the prose of it out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.diffusion.noise import generator_for
from medgen.errors import InputError, ModelError
from medgen.io.image import MedicalImage
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.device import choose_device
from medgen.tasks.facts import Fact
from medgen.tasks.finder.model import LoadedFinder, load_finder
from medgen.tasks.flows.conditions import Told, told_image, told_texts
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.latent import Walk, latent_words
from medgen.tasks.reporting.prose import Prose, prose_of, read_back
from medgen.tasks.reporting.seen import found_in, maps_of, placed, rows_found, seen_of, unlike
from medgen.tasks.reporting.table import Row, answers_in, compared, facts_in
from medgen.tasks.reporting.writer_model import WRITER, LoadedWriter, load_writer
from medgen.tasks.reporting.writer_train import told_of as told_writer


@dataclass(frozen=True)
class Reporter:
    """A model in memory: all that a report needs.

    Attributes:
        finder: What images show.
        writer: Words for it; None where the model has none.
        encoders: That compare texts and images; None where the model has none.
        device: Where they are.
    """

    finder: LoadedFinder
    writer: LoadedWriter | None
    encoders: LoadedAligner | None
    device: torch.device


@dataclass(frozen=True)
class Candidate:
    """One wording of the table, and how well it agrees with the images, -1 to 1."""

    prose: Prose
    agreement: float | None


@dataclass(frozen=True)
class Report:
    """What is said of one study.

    Attributes:
        rows: The table, surest first.
        candidates: Wordings, that which agrees best with the images first.
        threshold: Probability from which a finding is told.
        kinds: Of the images.
        maps: Where each claim looks: for each image, a map on the grid of its tokens.
        indication: As it was given.
        warnings: What the user should know.
    """

    rows: tuple[Row, ...]
    candidates: tuple[Candidate, ...]
    threshold: float
    kinds: tuple[Kind, ...]
    maps: Mapping[str, Sequence[Float[np.ndarray, "..."]]] = field(default_factory=dict)
    indication: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def prose(self) -> Prose:
        """The best wording."""
        return self.candidates[0].prose

    @property
    def text(self) -> str:
        """The report with its headings."""
        asked = f"INDICATION: {self.indication}\n" if self.indication else ""
        return f"{asked}{self.prose.text}"

    @property
    def told(self) -> tuple[Row, ...]:
        """The findings that are there, or may be."""
        return tuple(row for row in self.rows if row.finding.presence != "absent")


def load_reporter(config: ReportConfig) -> Reporter:
    """Load what a report needs.

    Raises:
        ModelError: If the model is missing, damaged, or lacks a part.
    """
    return _loaded(config.model, config.device)


def report(
    images: Sequence[MedicalImage], config: ReportConfig, before: Sequence[Fact] | None = None
) -> Report:
    """Report a study.

    Args:
        images: Of the study, in any order; each knows its kind, see `report_images.with_kinds`.
        config: How.
        before: What an earlier study showed; None without one.

    Raises:
        OutOfRangeError: If an image is unlike those of training, and nobody forces it.
        ModelError: If the model has no finder of a modality, or not the engine.
        InputError: If the latent engine hears none of the images.
    """
    loaded = load_reporter(config)
    seen = seen_of(images, loaded.finder, loaded.device)
    odd = unlike(seen, loaded.finder, force=config.force)
    warnings = [f"{line}; believe its findings less" for line in odd]
    heard = _heard(images, loaded)
    if config.engine == "latent" and loaded.encoders and not heard:
        raise InputError(
            "--engine latent: its encoders know none of the images, as one from the side; "
            "add one from the front, or take --engine tokens"
        )
    if config.engine == "latent" and len(heard) < len(images):
        warnings.append(f"--engine latent: hears {len(heard)} of {len(images)} images in its prose")
    found, grids, tokens = found_in(seen, loaded.finder)
    rows, threshold = rows_found(found, seen, config, loaded.finder)
    maps = maps_of(found, grids, loaded.finder.finder.config.claims)
    rows = [placed(row, maps[row.claim]) for row in rows]
    if before is not None:
        rows = compared(rows, before)
    candidates = _ranked(_candidates(heard, rows, tokens, config, loaded), heard, loaded)
    kinds = tuple(image.kind for image in images if image.kind)
    return Report(
        tuple(rows), tuple(candidates), threshold, kinds, maps, config.indication, tuple(warnings)
    )


def rows_of(images: Sequence[MedicalImage], config: ReportConfig) -> list[Row]:
    """The table of a study alone, without words and without a look at the range."""
    loaded = load_reporter(config)
    seen = seen_of(images, loaded.finder, loaded.device)
    found, _, _ = found_in(seen, loaded.finder)
    return rows_found(found, seen, config, loaded.finder)[0]


def facts_of_images(images: Sequence[MedicalImage], config: ReportConfig) -> list[Fact]:
    """What an earlier study's images show, to compare with."""
    return facts_in(rows_of(images, config))


def _candidates(
    heard: Sequence[MedicalImage],
    rows: Sequence[Row],
    tokens: Tensor,
    config: ReportConfig,
    loaded: Reporter,
) -> Iterator[Prose]:
    phrases = load_phrases()
    if config.engine == "latent":
        encoders, told = _encoders(loaded), _told(heard, loaded)
        walk = Walk(
            config.model,
            config.device,
            config.steps,
            config.guidance,
            config.longest,
            config.seed,
        )
        for number in range(config.number):
            words = latent_words(told, encoders, walk, number)
            yield read_back(words, rows, phrases)
        return
    if loaded.writer is None:
        card = loaded.finder.card
        raise ModelError(f"{card.name}: has no writer; train one: --round report:words")
    for words in _written(rows, tokens, config, loaded, loaded.writer):
        yield prose_of(words, rows, phrases)


@torch.no_grad()
def _written(
    rows: Sequence[Row],
    tokens: Tensor,
    config: ReportConfig,
    loaded: Reporter,
    writer: LoadedWriter,
) -> list[str]:
    shape = loaded.finder.finder.config
    answers = answers_in(rows, shape.claims, shape.regions)
    told = told_writer([answers], [tokens[0].cpu()], loaded.device)
    if config.decoding == "beam":
        beams = max(config.beams, config.number)
        written = writer.writer.beam(
            told, beams=beams, longest=config.longest, length=config.length
        )[: config.number]
    else:
        written = [
            writer.writer.sample(
                told,
                generator_for(config.seed, number),
                nucleus=config.nucleus,
                longest=config.longest,
            )
            for number in range(config.number)
        ]
    return [writer.tokenizer.decode(ids) for ids in written]


def _encoders(loaded: Reporter) -> LoadedAligner:
    """What compares texts and images.

    Raises:
        ModelError: If the model has no encoders.
    """
    if loaded.encoders is None:
        raise ModelError(f"{loaded.finder.card.name}: has no encoders; name another --model")
    return loaded.encoders


def _heard(images: Sequence[MedicalImage], loaded: Reporter) -> list[MedicalImage]:
    """The images of which encoders know something: those from the side are none of theirs."""
    known = loaded.encoders.aligner.encoders if loaded.encoders else ()
    return [one for one in images if one.kind and one.kind.modality in known and not one.kind.view]


def _told(images: Sequence[MedicalImage], loaded: Reporter) -> list[Told]:
    """What the encoders say of the images, as a flow takes it."""
    return [told_image(image, _encoders(loaded), loaded.device) for image in images]


def _ranked(
    proses: Iterator[Prose], images: Sequence[MedicalImage], loaded: Reporter
) -> list[Candidate]:
    """The candidates, each wording once, by how well they agree with what encoders know."""
    unlike = list({prose.text: prose for prose in proses}.values())
    if len(unlike) == 1 or loaded.encoders is None or not images:
        return [Candidate(prose, None) for prose in unlike]
    seen = torch.stack([one.embedding[0] for one in _told(images, loaded)])
    encoder, tokenizer = loaded.encoders.aligner.text_encoder, loaded.encoders.tokenizer
    said = told_texts(encoder, tokenizer, [prose.text for prose in unlike])
    agreements = [round(float(F.cosine_similarity(seen, one.embedding).mean()), 4) for one in said]
    candidates = [Candidate(*both) for both in zip(unlike, agreements, strict=True)]
    return sorted(candidates, key=lambda one: -(one.agreement or 0.0))


@lru_cache(maxsize=1)
def _loaded(model: str, device: str) -> Reporter:
    """One model stays in memory: a batch loads it once."""
    place = choose_device(device)
    finder = load_finder(model, place)
    parts = finder.card.parts
    return Reporter(
        finder,
        load_writer(model, place) if WRITER in parts else None,
        load_aligner(model, place) if {"text", "temperature"} <= parts.keys() else None,
        place,
    )
