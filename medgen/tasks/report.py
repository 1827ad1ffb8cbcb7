"""Report: the images of a study in, a table of findings and the prose of it out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.data.standard import standard_view
from medgen.diffusion.noise import generator_for
from medgen.encoders.finder import Found
from medgen.errors import ModelError, OutOfRangeError, UsageError
from medgen.io.image import MedicalImage
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind, Modality
from medgen.tasks.align_model import LoadedAligner, load_aligner
from medgen.tasks.conditions import Told, told_image, told_texts
from medgen.tasks.device import choose_device
from medgen.tasks.facts import Fact
from medgen.tasks.finder_model import LoadedFinder, load_finder
from medgen.tasks.finder_usual import FOREIGN
from medgen.tasks.report_latent import Walk, latent_words
from medgen.tasks.report_prose import Prose, prose_of, read_back
from medgen.tasks.report_table import (
    Row,
    answers_in,
    box_of,
    compared,
    facts_in,
    table_of,
    threshold_of,
)
from medgen.tasks.writer_model import WRITER, LoadedWriter, load_writer
from medgen.tasks.writer_train import told_of as told_writer

BUILT_IN = "flows"  # the bundled model
INVENTED = (0.01, 0.4)  # between these an operating point lies


@dataclass(frozen=True)
class ReportConfig:
    """What `medgen report` is asked to do."""

    engine: Literal["tokens", "latent"] = "tokens"  # a writer of facts, or a flow of reports
    prior: str | None = None  # an earlier image or report of the patient
    indication: str = ""  # why the images were made
    operating_point: float | None = None  # see `threshold_of`; None tells what is likelier than not
    decoding: Literal["beam", "nucleus"] = "beam"  # the likeliest words, or drawn ones
    beams: int = 4  # texts that are followed at once
    nucleus: float = 0.9  # share of the chance that words are drawn from
    length: float = 1.0  # above 1: longer texts
    longest: int = 192  # tokens at most
    number: int = 1  # candidates, of which the one most like the images is told
    steps: int = 12  # of the latent engine's sampler
    guidance: float = 2.0  # how hard that is pushed towards the images; 1 does not push
    allow_mixed: bool = False  # the images may be of several patients
    keep_patient: bool = False  # a DICOM report keeps the patient of the images, and names them
    force: bool = False  # go on with images unlike those of training
    overwrite: bool = False  # replace results that exist
    model: str = BUILT_IN  # a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    seed: int = 0  # of what is drawn

    def __post_init__(self) -> None:
        """Raises UsageError for a word or a number that makes no sense."""
        if self.engine not in ("tokens", "latent") or self.decoding not in ("beam", "nucleus"):
            raise UsageError("engine is tokens or latent, and decoding beam or nucleus")
        low, high = INVENTED
        if self.operating_point is not None and not low <= self.operating_point <= high:
            raise UsageError(
                f"--operating-point {self.operating_point:g}: choose {low:g} to {high:g}"
            )
        for name in ("beams", "number", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if not 0 < self.nucleus <= 1 or not 0 <= self.length < math.inf or self.longest < 2:
            raise UsageError("nucleus is in (0, 1], length 0 or more, and longest 2 or more")
        if not 0 <= self.guidance < math.inf:
            raise UsageError("guidance is 0 or more, and finite")


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
    """
    loaded = load_reporter(config)
    seen = _seen(images, loaded)
    warnings = list(_unlike(seen, config, loaded))
    heard = _heard(images, loaded)
    if config.engine == "latent" and heard and len(heard) < len(images):
        warnings.append(f"--engine latent: hears {len(heard)} of {len(images)} images in its prose")
    found, grids, tokens = _found(seen, loaded)
    rows, threshold = _rows(found, seen, config, loaded.finder)
    maps = _maps(found, grids, loaded.finder.finder.config.claims)
    rows = [_placed(row, maps[row.claim]) for row in rows]
    if before is not None:
        rows = compared(rows, before)
    candidates = _ranked(_candidates(heard or images, rows, tokens, config, loaded), heard, loaded)
    kinds = tuple(image.kind for image in images if image.kind)
    return Report(
        tuple(rows), tuple(candidates), threshold, kinds, maps, config.indication, tuple(warnings)
    )


def rows_of(images: Sequence[MedicalImage], config: ReportConfig) -> list[Row]:
    """The table of a study alone, without words and without a look at the range."""
    loaded = load_reporter(config)
    seen = _seen(images, loaded)
    found, _, _ = _found(seen, loaded)
    return _rows(found, seen, config, loaded.finder)[0]


def facts_of_images(images: Sequence[MedicalImage], config: ReportConfig) -> list[Fact]:
    """What an earlier study's images show, to compare with."""
    return facts_in(rows_of(images, config))


class _Seen(NamedTuple):
    """An image as the finder takes it: a batch of one standard view."""

    name: str
    kind: Kind
    view: Tensor


def _seen(images: Sequence[MedicalImage], loaded: Reporter) -> list[_Seen]:
    """The images of a study; ModelError if the finder does not read one of them."""
    seen = []
    for image in images:
        kind = _kind(image, loaded)
        view = standard_view(image, kind.modality, loaded.finder.standard)
        name = str(image.source.path) if image.source else "image"
        seen.append(_Seen(name, kind, view[None].float().to(loaded.device)))
    return seen


def _rows(
    found: Found, seen: Sequence[_Seen], config: ReportConfig, finder: LoadedFinder
) -> tuple[list[Row], float]:
    """The table of these images, and the probability from which it tells a finding."""
    shape, worth = finder.finder.config, finder.calibration.of([one.kind for one in seen])
    threshold = threshold_of(worth, config.operating_point)
    return table_of(found, shape.claims, shape.regions, worth, threshold), threshold


def _unlike(seen: Sequence[_Seen], config: ReportConfig, loaded: Reporter) -> Iterator[str]:
    """How images differ from those of training, one line each."""
    for name, kind, view in seen:
        limit = loaded.finder.calibration.foreign.get(str(kind))
        if limit is None:
            continue
        foreign = loaded.finder.usual[str(kind)].foreign(view[0])
        line = f"{name}: {foreign:.0%} of it is unlike any {kind} of training"
        if foreign > max(FOREIGN, limit) and not config.force:
            raise OutOfRangeError(f"{line}; is it one? Use --force to go on anyway")
        if foreign > limit:
            yield f"{line}; believe its findings less"


def _kind(image: MedicalImage, loaded: Reporter) -> Kind:
    name = image.source.path if image.source else "image"
    kind = (image.kind or Kind(Modality.XRAY)).plain
    known = loaded.finder.finder.config.kinds
    if str(kind) not in known:
        raise ModelError(
            f"{name}: is {image.kind}; {loaded.finder.card.name} reports {', '.join(known)} only; "
            "name another --model"
        )
    return kind


Cells = tuple[int, ...]


@torch.no_grad()
def _found(seen: Sequence[_Seen], loaded: Reporter) -> tuple[Found, list[Cells], Tensor]:
    """The answers, the grid of each image's tokens, and all tokens without their peaks."""
    finder, tokens, grids = loaded.finder.finder, [], []
    for _, kind, view in seen:
        stack = finder.stack(kind)
        coarsest = stack(view)[-1]
        tokens.append(stack.tokens(coarsest, view))
        grids.append(tuple(coarsest.shape[2:]))
    joined = torch.cat(tokens, dim=1)
    return finder(joined), grids, joined[..., : finder.config.width]


def _maps(
    found: Found, grids: Sequence[Cells], claims: Sequence[str]
) -> dict[str, list[Float[np.ndarray, "..."]]]:
    parts = found.attention[0].split([math.prod(grid) for grid in grids], dim=-1)
    return {
        claim: [
            part[at].reshape(grid).float().cpu().numpy()
            for part, grid in zip(parts, grids, strict=True)
        ]
        for at, claim in enumerate(claims)
    }


def _placed(row: Row, maps: Sequence[Float[np.ndarray, "..."]]) -> Row:
    """A row with the image and the place that it rests on, where it tells anything."""
    if row.finding.presence == "absent":
        return row
    image = int(np.argmax([float(one.sum()) for one in maps]))
    return replace(row, image=image, place=box_of(maps[image]))


def _candidates(
    images: Sequence[MedicalImage],
    rows: Sequence[Row],
    tokens: Tensor,
    config: ReportConfig,
    loaded: Reporter,
) -> Iterator[Prose]:
    phrases = load_phrases()
    if config.engine == "latent":
        encoders, told = _encoders(loaded), _told(images, loaded)
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
