"""Train a report codec: the reports of a manifest in, a part that writes them from latents out."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from medgen.align.gather import gathered
from medgen.checkpoint import model_folder, verify
from medgen.config import check_least
from medgen.data.counterfactuals import read_counterfactuals
from medgen.data.study import Study
from medgen.diffusion.noise import generator_for
from medgen.encoders.tokenizer import LEAST, Tokenizer, train_tokenizer
from medgen.errors import UsageError
from medgen.latents.posterior import divergence, sampled
from medgen.latents.report import PAD, ReportCodec, ReportCodecConfig, dropped
from medgen.tasks.aligning.model import TOKENIZER
from medgen.tasks.codecs.report import REPORT_PART, load_report_codec, save_report_codec
from medgen.tasks.fitting.chosen import to_train_on
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Progress, fit
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.shape import keep_shape
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.studies import one_of, read_report

LOG = logging.getLogger(__name__)
CALIBRATED_ON = 2000  # reports at most
TOGETHER = 50  # reports that are read at once


@dataclass(frozen=True)
class ReportTrainConfig:
    """What `medgen train --round codec:text` is asked to do."""

    init: str | None = None  # a model whose tokenizer and other parts are kept
    vocabulary: int = 2048  # most pieces of text of a new tokenizer
    beta: float = 0.02  # weight of the divergence at the end of its warm-up
    beta_warmup: int = 500  # steps in which it rises from 0
    free_nats: float = 0.1  # divergence of each number that costs nothing
    blotted: float = 0.3  # share of its own words that the decoder does not see
    allow_outside: bool = False  # the manifest may name files outside its folder
    card: str | None = None  # TOML with name, summary, licence and data of the model
    codec: ReportCodecConfig = field(default_factory=ReportCodecConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=4000, batch=32, learning_rate=1e-3, ema_decay=0.995, device="auto"
        )
    )

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        check_least(self, LEAST, "vocabulary")
        if self.beta < 0 or self.beta_warmup < 0 or self.free_nats < 0:
            raise UsageError("beta, beta_warmup and free_nats must not be negative")
        if not 0 <= self.blotted < 1:
            raise UsageError(f"blotted {self.blotted:g}: choose a share in [0, 1)")


class ReportTraining(nn.Module):
    """A report codec, and how far its warm-up has come.

    Args:
        codec: What is trained.
        config: Weights of the loss.
    """

    def __init__(self, codec: ReportCodec, config: ReportTrainConfig) -> None:
        super().__init__()
        self.codec = codec
        self.config = config
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, ids: Tensor, noise: Tensor, chance: Tensor) -> Mapping[str, Tensor]:
        """Nats a token, and the divergence beyond what is free; the steps are counted here.

        Args:
            ids: Of the tokenizer, padded.
            noise: Unit Gaussian, as large as the latent.
            chance: A uniform number for each token.

        Source: the free nats are Kingma et al. 2016, appendix C.8 (arXiv:1606.04934).
        """
        posterior = self.codec.posterior(ids)
        shown = dropped(ids[:, :-1], self.config.blotted, chance[:, :-1])
        logits = self.codec.logits(sampled(posterior, noise), shown)
        target = ids[:, 1:]
        each = F.cross_entropy(logits.mT, target, ignore_index=PAD, reduction="none")
        # A mean for each report first: so the mean of two processes is that of one.
        nats = (each.sum(1) / (target != PAD).sum(1).clamp(min=1)).mean()
        right = (logits.argmax(-1) == target)[target != PAD].float().mean()
        of_each = gathered(divergence(posterior)).mean(0)
        beta = self.config.beta * min(1.0, float(self.steps) / max(1, self.config.beta_warmup))
        if self.training:
            self.steps += 1
        total = (
            nats + beta * (of_each.clamp(min=self.config.free_nats) - self.config.free_nats).mean()
        )
        return {
            "total": total,
            "nats": nats.detach(),
            "divergence": of_each.mean().detach(),
            "right": right,
        }


@dataclass(frozen=True)
class ReportItems:
    """Item number -> a report's tokens: a pure function, whatever was asked before."""

    texts: Sequence[Sequence[str]]
    tokenizer: Tokenizer
    config: ReportCodecConfig
    seed: int

    def __call__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """A wording of some study, noise for its latent, and a chance for each token."""
        generator = generator_for(self.seed, number)
        text = one_of(one_of(self.texts, generator), generator)
        ids = self.tokenizer.encode([text], max_tokens=self.config.max_tokens).ids[0]
        noise = torch.randn(self.config.channels, self.config.length, generator=generator)
        return ids, noise, torch.rand(len(ids), generator=generator)


def report_loss(
    training: ReportTraining, items: Sequence[tuple[Tensor, Tensor, Tensor]]
) -> Mapping[str, Tensor]:
    """The training loss of a batch, as `fit` wants it."""
    device = training.steps.device
    ids = pad_sequence([one[0] for one in items], batch_first=True, padding_value=PAD)
    noise = torch.stack([one[1] for one in items])
    chance = pad_sequence([one[2] for one in items], batch_first=True, padding_value=1.0)
    return training(ids.to(device), noise.to(device), chance.to(device))


def train_report_codec(
    config: ReportTrainConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train a report codec and write `out/model`: all of `init`, and the codec.

    Args:
        config: What to train, on what, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies with reports; those of split `train`, or without one.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        InputError: If the manifest or a report is wrong.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, "codec", "generate")  # its mistakes must not wait for the end
    texts = _texts(config, manifest)
    codec, tokenizer, config = _start(config, texts)
    texts = _fitting(texts, tokenizer, config.codec.max_tokens)
    training = ReportTraining(codec, config)
    items = ReportItems(texts, tokenizer, config.codec, config.fit.seed)
    facts = {"config": facts_of(config), "studies": len(texts)}
    yield from fit(training, items, report_loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        codec.load_state_dict(
            {
                name.removeprefix("codec."): tensor
                for name, tensor in state.items()
                if name.startswith("codec.")
            }
        )
        _calibrate(codec, texts, tokenizer)
        extra = {f"training-{REPORT_PART}": facts_of(config)}
        beside = model_folder(config.init) if config.init else None
        card = descended(replace(card, steps=step, extra=extra), beside, REPORT_PART)
        save_report_codec(out / MODEL, card, codec, tokenizer, beside=beside)


def _calibrate(codec: ReportCodec, texts: Sequence[Sequence[str]], tokenizer: Tokenizer) -> None:
    every = [text for wordings in texts for text in wordings]
    first = every[:: -(-len(every) // CALIBRATED_ON)]
    longest = codec.config.max_tokens
    codec.eval().calibrate(
        tokenizer.encode(first[at : at + TOGETHER], max_tokens=longest).ids.to(codec.shift.device)
        for at in range(0, len(first), TOGETHER)
    )


def _start(
    config: ReportTrainConfig, texts: Sequence[Sequence[str]]
) -> tuple[ReportCodec, Tokenizer, ReportTrainConfig]:
    """The codec and the tokenizer of `init`, as far as it has them, or new ones."""
    tokenizer = None
    if config.init is not None:
        card = verify(model_folder(config.init))
        if REPORT_PART in card.parts:
            loaded = load_report_codec(config.init, torch.device("cpu"))
            own = loaded.codec.config
            wanted = replace(config.codec, vocabulary=own.vocabulary)
            keep_shape(wanted, own, replace(ReportCodecConfig(), vocabulary=own.vocabulary))
            return loaded.codec.train(), loaded.tokenizer, replace(config, codec=own)
        if TOKENIZER in card.extra:
            tokenizer = Tokenizer.from_json(str(card.extra[TOKENIZER]))
    if tokenizer is None:
        every = (text for wordings in texts for text in wordings)
        tokenizer = train_tokenizer(every, config.vocabulary, lowercase=True)
    config = replace(config, codec=replace(config.codec, vocabulary=tokenizer.size))
    torch.manual_seed(config.fit.seed)
    return ReportCodec(config.codec), tokenizer, config


def _texts(config: ReportTrainConfig, manifest: Path) -> list[tuple[str, ...]]:
    """All wordings of each study; a report with a fact changed is one that may be learned, too."""
    chosen = to_train_on(manifest, allow_outside=config.allow_outside)
    texts = [wordings for study in chosen if (wordings := _wordings(study))]
    if not texts:
        raise UsageError(f"{manifest}: no study to train on has a text")
    return texts


def _wordings(study: Study) -> tuple[str, ...]:
    text = read_report(study)
    pairs = read_counterfactuals(study.counterfactuals) if study.counterfactuals else []
    changed = [each for pair in pairs for each in (pair.says, pair.changed)]
    return tuple(dict.fromkeys([*([text] if text else []), *changed]))


def _fitting(
    texts: Sequence[Sequence[str]], tokenizer: Tokenizer, longest: int
) -> list[tuple[str, ...]]:
    """The reports that are not cut: half of one would teach to stop in the middle."""
    kept = []
    left_out = 0
    for wordings in texts:
        cut = tokenizer.encode(wordings, max_tokens=longest).cut
        fitting = tuple(text for text, much in zip(wordings, cut, strict=True) if not much)
        left_out += len(wordings) - len(fitting)
        if fitting:
            kept.append(fitting)
    if left_out:
        LOG.warning("%d reports have more than %d tokens and are left out", left_out, longest)
    if not kept:
        raise UsageError(f"all reports have more than {longest} tokens; raise codec.max_tokens")
    return kept
