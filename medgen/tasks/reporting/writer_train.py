"""Train a writer: reports, what they say, and the images that show it in; words for facts out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from medgen.checkpoint import model_folder, read_card
from medgen.config import check_least
from medgen.data.counterfactuals import read_counterfactuals
from medgen.data.study import Study
from medgen.data.view_cache import cached_view
from medgen.diffusion.noise import generator_for
from medgen.encoders.finder import SEVERITIES, FinderConfig
from medgen.encoders.tokenizer import LEAST, Tokenizer, train_tokenizer
from medgen.errors import MedgenError, UsageError
from medgen.latents.report import PAD, dropped
from medgen.latents.writer import Told, Writer, WriterConfig, inherited
from medgen.metrics.phrases import Phrases, load_phrases
from medgen.tasks.aligning.model import TOKENIZER
from medgen.tasks.codecs.report import REPORT_PART
from medgen.tasks.facts import Answers, answers_of, said_facts
from medgen.tasks.finder.model import LoadedFinder, load_finder
from medgen.tasks.fitting.chosen import to_train_on
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.model_parts import parts_of
from medgen.tasks.reporting.writer_model import WRITER, save_writer
from medgen.tasks.studies import one_of, read_report
from medgen.tasks.unreadable import Unreadable

ABSENT, UNCERTAIN, PRESENT = range(3)  # as the writer has them


@dataclass(frozen=True)
class WriterTrainConfig:
    """What `medgen train --round report:words` is asked to do."""

    init: str = "flows"  # a model with a finder; of its report codec the decoder is taken over
    vocabulary: int = 2048  # most pieces of text of a new tokenizer
    blotted: float = 0.1  # share of its own words that the writer does not see
    blind: float = 0.3  # share of the items without their images
    is_told: bool = True  # what each report says; otherwise it has only the images to go by
    max_bad: float = 0.05  # share of the studies that may be unreadable
    allow_outside: bool = False  # the manifest may name files outside its folder
    cache: str | None = None  # folder that keeps images as encoders take them
    card: str | None = None  # TOML with name, summary, licence and data of the model
    writer: WriterConfig = field(default_factory=WriterConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=2000, batch=32, learning_rate=1e-3, ema_decay=0.99, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        check_least(self, LEAST, "vocabulary")
        if not 0 <= self.blotted < 1 or not 0 <= self.blind <= 1 or not 0 <= self.max_bad <= 1:
            raise UsageError("blotted must be in [0, 1), blind and max_bad in [0, 1]")


@dataclass(frozen=True)
class WriterStudy:
    """Reports of a study, with what each says, and the tokens of its images, half precision."""

    reports: Sequence[tuple[Tensor, Answers]]
    tokens: Tensor


@dataclass(frozen=True)
class WriterItem:
    """A report's tokens, what it says, the images' tokens, and a chance for each word."""

    ids: Tensor
    answers: Answers
    tokens: Tensor
    chance: Tensor


@dataclass(frozen=True)
class WriterItems:
    """Item number -> item: a pure function, whatever was asked before."""

    studies: Sequence[WriterStudy]
    blind: float
    seed: int
    is_told: bool = True

    def __call__(self, number: int) -> WriterItem:
        """A report of a study in random order, sometimes without its images."""
        generator = generator_for(self.seed, number)
        study = one_of(self.studies, generator)
        ids, answers = one_of(study.reports, generator)
        is_blind = float(torch.rand((), generator=generator)) < self.blind
        tokens = study.tokens[: 0 if is_blind else None].float()
        answers = answers if self.is_told else untold(answers)
        return WriterItem(ids, answers, tokens, torch.rand(len(ids), generator=generator))


@dataclass(frozen=True)
class WriterLoss:
    """Writer and items in, nats a token out."""

    blotted: float

    def __call__(self, writer: Writer, items: Sequence[WriterItem]) -> Mapping[str, Tensor]:
        """A mean for each report first: so the mean of two processes is that of one."""
        device = writer.written.weight.device
        ids = pad_sequence([one.ids for one in items], batch_first=True, padding_value=PAD)
        chance = pad_sequence([one.chance for one in items], batch_first=True, padding_value=1.0)
        ids = ids.to(device)
        told = told_of([one.answers for one in items], [one.tokens for one in items], device)
        shown = dropped(ids[:, :-1], self.blotted, chance[:, :-1].to(device))
        logits, target = writer(told, shown), ids[:, 1:]
        each = F.cross_entropy(logits.mT, target, ignore_index=PAD, reduction="none")
        nats = (each.sum(1) / (target != PAD).sum(1).clamp(min=1)).mean()
        right = (logits.argmax(-1) == target)[target != PAD].float().mean()
        return {"total": nats, "right": right.detach()}


def told_of(answers: Sequence[Answers], tokens: Sequence[Tensor], device: torch.device) -> Told:
    """Facts and image tokens of several studies, as the writer takes them."""
    there, size, severity, region = (
        torch.stack([getattr(one, name) for one in answers])
        for name in ("there", "size", "severity", "region")
    )
    presence = torch.where(there.isnan(), UNCERTAIN, (there > 0) * PRESENT)
    seen = pad_sequence(list(tokens), batch_first=True)
    count = torch.tensor([len(one) for one in tokens])
    mask = torch.arange(seen.shape[1]) < count[:, None]
    whole = size.exp().nan_to_num(0.0).round().long()
    told = (presence, severity + 1, region + 1, whole, seen.float(), mask)
    return Told(*(one.to(device) for one in told))


def untold(answers: Answers) -> Answers:
    """The answers of somebody who knows nothing."""
    nothing = torch.full_like(answers.severity, -1)
    unknown = torch.full_like(answers.there, math.nan)
    return Answers(unknown, unknown, nothing, nothing)


def train_writer(
    config: WriterTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a writer and write `out/model`: all of `init`, and the writer.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with reports and images; those of split `train`, or without one.
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
    init = model_folder(config.init)
    found = load_finder(config.init, join(config.fit.device).device)
    texts = _texts(config, manifest)
    tokenizer = _tokenizer(config, init, [text for _, of in texts for text in of])
    config = replace(config, writer=_fitting(config.writer, found.finder.config, tokenizer))
    studies = list(_studies(config, texts, found, tokenizer))
    torch.manual_seed(config.fit.seed)
    writer = Writer(config.writer)
    parts = parts_of(init)[0]
    taken = [
        name
        for part in (REPORT_PART, WRITER)
        if part in parts
        for name in inherited(dict(parts[part]), writer)
    ]
    items = WriterItems(studies, config.blind, config.fit.seed, config.is_told)
    facts = {"config": facts_of(config), "studies": len(studies), "inherited": len(taken)}
    yield from fit(
        writer, items, WriterLoss(config.blotted), config.fit, out, resume=resume, card=facts
    )
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        extra = {f"training-{WRITER}": facts_of(config), TOKENIZER: tokenizer.to_json()}
        card = descended(replace(card, steps=step, extra=extra), init, WRITER)
        save_writer(out / MODEL, card, config.writer, state, beside=init)


def _tokenizer(config: WriterTrainConfig, init: Path, texts: Sequence[str]) -> Tokenizer:
    """The model's own, or a new one."""
    known = read_card(init).extra.get(TOKENIZER)
    if known is not None:
        return Tokenizer.from_json(str(known))
    return train_tokenizer(texts, config.vocabulary, lowercase=False)


def _fitting(shape: WriterConfig, finder: FinderConfig, tokenizer: Tokenizer) -> WriterConfig:
    """The writer's shape for the claims of a finder and the words of a tokenizer."""
    return replace(
        shape,
        vocabulary=tokenizer.size,
        claims=len(finder.claims),
        regions=len(finder.regions),
        severities=len(SEVERITIES),
        seen=finder.width,
    )


def _texts(config: WriterTrainConfig, manifest: Path) -> list[tuple[Study, tuple[str, ...]]]:
    chosen = to_train_on(manifest, allow_outside=config.allow_outside)
    read = ((study, _wordings(study)) for study in chosen)
    texts = [(study, wordings) for study, wordings in read if wordings]
    if not texts:
        raise UsageError(f"{manifest}: no study to train on has a text")
    return texts


def _wordings(study: Study) -> tuple[str, ...]:
    """All true reports of a study."""
    text = read_report(study)
    pairs = read_counterfactuals(study.counterfactuals) if study.counterfactuals else []
    return tuple(dict.fromkeys([*([text] if text else []), *(pair.says for pair in pairs)]))


def _studies(
    config: WriterTrainConfig,
    texts: Sequence[tuple[Study, tuple[str, ...]]],
    found: LoadedFinder,
    tokenizer: Tokenizer,
) -> Iterator[WriterStudy]:
    give_back_large_arrays()
    unreadable = Unreadable(len(texts), config.max_bad)
    phrases, longest = load_phrases(), config.writer.max_tokens
    kept = 0
    for at, (study, wordings) in enumerate(texts):
        try:
            tokens = tokens_of(study, found, Path(config.cache) if config.cache else None)
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
            continue
        encoded = [tokenizer.encode([text], max_tokens=longest) for text in wordings]
        reports = [
            (one.ids[0], says_of(text, found.finder.config, phrases))
            for one, text in zip(encoded, wordings, strict=True)
            if not one.cut[0]  # half a report would teach to stop in the middle
        ]
        if reports:
            kept += 1
            yield WriterStudy(reports, tokens)
    if not kept:
        raise UsageError(f"all reports have more than {longest} tokens; raise writer.max_tokens")


def says_of(text: str, finder: FinderConfig, phrases: Phrases) -> Answers:
    """What a report says, as answers to the claims of a finder."""
    facts = said_facts(text, phrases)
    return answers_of(facts, finder.claims, finder.regions)


@torch.no_grad()
def tokens_of(study: Study, found: LoadedFinder, cache: Path | None = None) -> Tensor:
    """The tokens of all images of a study that the finder reads, half precision; maybe none."""
    shape = found.finder.config
    device = found.finder.query.device
    tokens = [torch.zeros(0, shape.width)]
    for kind, path in study.images.items():
        if str(kind.plain) in shape.kinds:
            view = cached_view(path, kind.modality, found.standard, cache)
            seen = torch.from_numpy(view).float()[None].to(device)
            tokens.append(found.finder.tokens(kind, seen)[0, :, : shape.width].cpu())
    return torch.cat(tokens).half()
