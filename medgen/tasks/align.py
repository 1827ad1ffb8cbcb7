"""Align: studies with reports and images in, encoders that agree on them out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from medgen.align.aligner import Aligner
from medgen.align.central import (
    Batch,
    Given,
    alignment_losses,
    invariance_losses,
    met,
    wording_loss,
)
from medgen.align.grounding import Logits, grounding_loss
from medgen.checkpoint import Card, model_folder, read_card
from medgen.encoders.tokenizer import Tokenizer
from medgen.errors import UsageError
from medgen.metrics.phrases import load_phrases
from medgen.modality import Modality
from medgen.tasks.aligning.cells import CellItems, cells_of
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import save_aligner
from medgen.tasks.aligning.patches import PatchItems, PatchLoss
from medgen.tasks.aligning.start import basis_of, started, with_basis
from medgen.tasks.device import choose_device
from medgen.tasks.fitting.chosen import to_train_on
from medgen.tasks.fitting.distributed import join
from medgen.tasks.fitting.fit import MODEL, Loss, Progress, fit
from medgen.tasks.fitting.prefetch import MakeItem
from medgen.tasks.fitting.run_card import card_of, descended, facts_of
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.studies import AlignItem, AlignItems, ReadStudy, read_studies

BUILT = "aligned"  # its name, if nobody gives it one


def align(
    config: AlignConfig, out: Path, *, manifest: Path, resume: bool = False
) -> Iterator[Progress]:
    """Train the encoders and write `out/model`, a folder that `--model` takes.

    Args:
        config: What to train, and how.
        out: The run's folder: snapshots, `metrics.jsonl`, and the model at the end.
        manifest: Studies of split `train`, or without one, with two modalities or more.
        resume: Continue the run in `out`.

    Yields:
        Progress after every step.

    Raises:
        UsageError: If there is nothing to learn from, or a setting does not fit.
        ModelError: If what it starts from is damaged, or has no such finder.
        InputError: If the manifest is wrong, or too many studies cannot be read.
        OutputError: If `out` cannot be written.
    """
    card = card_of(config.card, BUILT, "align")  # its mistakes must not wait for the end
    basis = basis_of(config)
    config = with_basis(config, basis)
    studies = _studies(config, manifest)
    aligner, tokenizer, config = started(config, basis, studies)
    given = {modality for study in studies for modality in _modalities(study)}
    # The text is what all images are held against: without it, nobody could go on.
    trained = given & set(map(Modality, config.train))
    learned = basis.learned | trained | {Modality.TEXT}
    aligner.train_only([Modality(name) for name in config.train], has_features=not config.cells)
    findings = _findings(studies) if config.grounding and not config.cells else ()
    if findings:
        aligner.ground(config.images, len(findings), seed=config.fit.seed)
    items, loss = _lessons(config, aligner, studies, findings, tokenizer)
    facts = {"config": facts_of(config), "studies": len(studies), "findings": findings}
    yield from fit(aligner, items, loss, config.fit, out, resume=resume, card=facts)
    if join(config.fit.device).rank == 0:
        step, state = averaged_weights(out)
        card = replace(card, steps=step, extra={"training": facts_of(config)})
        save_aligner(
            out / MODEL,
            _descended(card, config, sorted(trained)),
            config.encoders,
            {name: one for name, one in state.items() if not name.startswith("grounding.")},
            tokenizer=tokenizer,
            standard=config.standard,
            learned=learned,
        )


def _descended(card: Card, config: AlignConfig, trained: Sequence[Modality]) -> Card:
    """The card, with those whose work is in what it started from and in its finder."""
    init = model_folder(config.init) if config.init else None
    if init:  # encoders that stay have their steps, too
        told = read_card(init).extra
        known = {key: told[key] for name in Modality if (key := f"steps-{name}") in told}
        card = replace(card, extra=known | card.extra)
    card = descended(card, init, *trained)
    if config.finder:
        seen = read_card(model_folder(config.finder)).data
        card = replace(card, data=tuple(dict.fromkeys((*seen, *card.data))))
    return card


def _lessons(
    config: AlignConfig,
    aligner: Aligner,
    studies: Sequence[ReadStudy],
    findings: tuple[str, ...],
    tokenizer: Tokenizer,
) -> tuple[MakeItem, Loss]:
    """What is dealt out, and what is learned from it: patches, or images with reports."""
    seed = config.fit.seed
    if config.patch:
        return PatchItems(
            studies, config.images, findings, config.patch, config.augment, seed
        ), PatchLoss()
    has_wordings = any(study.counterfactuals for study in studies)
    if config.cells:
        device = choose_device(config.fit.device)
        cells = cells_of(
            aligner.to(device), studies, config.images, config.cells, config.augment, seed
        )
        kept = CellItems(studies, cells, seed, config.invariant > 0, config.decoys)
        return kept, AlignLoss(tokenizer, config, has_wordings)
    items = AlignItems(
        studies,
        config.augment,
        seed,
        is_pair=config.invariant > 0,
        decoys=config.decoys,
        findings=findings,
    )
    return items, AlignLoss(tokenizer, config, has_wordings)


@dataclass(frozen=True)
class AlignLoss:
    """Aligner and items in, loss terms out: each pair's, the invariant, and the `total`."""

    tokenizer: Tokenizer
    config: AlignConfig
    has_wordings: bool = False  # some studies have several reports
    known: dict[str, Tensor] = field(default_factory=dict)  # embedded once, while text is frozen

    def __call__(self, aligner: Aligner, items: Sequence[AlignItem]) -> dict[str, Tensor]:
        """The terms have the same names whatever the items lack."""
        device = aligner.temperature.log_scale.device
        images = self.config.images
        first, second = (self._batch(items, view, device) for view in (0, 1))
        embedded, found = self._seen(aligner, first) if images else ({}, {})
        embedded[Modality.TEXT] = self._texts(aligner, [item.text for item in items])
        decoys = self._decoys(aligner, items)
        groups = torch.tensor([item.group for item in items], device=device)
        scale = aligner.temperature()
        met = {name: embedded[name] for name in (Modality.TEXT, *images)}
        losses = alignment_losses(met, scale, groups=groups, decoys=decoys, pairs=self.config.pairs)
        if self.has_wordings and self.config.wordings and Modality.TEXT in self.config.train:
            again = self._texts(aligner, [item.again for item in items])
            text = embedded[Modality.TEXT]
            same = wording_loss(text, again, scale, groups=groups, decoys=decoys)
            losses["text-text"] = self.config.wordings * same
        total = torch.stack(list(losses.values())).sum()
        terms = {name: value.detach() for name, value in losses.items()}
        for name in map(Modality, aligner.grounding):
            grounding = self._grounding(items, name, found.get(name, []), device)
            terms[f"grounding-{name}"] = grounding.detach()
            total = total + self.config.grounding * grounding
        if self.config.invariant and images:
            views, _ = self._seen(aligner, {name: second[name] for name in images})
            invariants = invariance_losses(
                {name: embedded[name] for name in images},
                {name: views[name] for name in images},
                diag_weight=self.config.diag_weight,
            )
            invariant = torch.stack(list(invariants.values())).sum() / aligner.embedding
            terms["invariant"] = invariant.detach()
            total = total + self.config.invariant * invariant
        return {"total": total, **terms}

    def _seen(
        self, aligner: Aligner, batch: Batch
    ) -> tuple[dict[Modality, Given], dict[Modality, list[Logits]]]:
        """Embedded images, and what their cells find; or embedded features that were kept."""
        return (aligner.read(batch), {}) if self.config.cells else aligner.grounded(batch)

    def _texts(self, aligner: Aligner, texts: Sequence[str | None]) -> Given:
        """Embedded reports; zeros where there is none."""
        device = aligner.temperature.log_scale.device
        if Modality.TEXT in self.config.train:
            return aligner({Modality.TEXT: self._tokens(texts, device)})[Modality.TEXT]
        for text in sorted({text for text in texts if text is not None} - self.known.keys()):
            # Alone: beside others it would round otherwise, and a resumed run meets other others.
            alone = aligner({Modality.TEXT: self._tokens([text], device)})[Modality.TEXT].rows
            self.known[text] = alone[0].detach()
        nothing = torch.zeros(aligner.embedding, device=device)
        rows = [nothing if text is None else self.known[text] for text in texts]
        present = torch.tensor([text is not None for text in texts], device=device)
        return Given(torch.stack(rows), present)

    def _decoys(self, aligner: Aligner, items: Sequence[AlignItem]) -> Given:
        """Embedded reports that are wrong, as many for each study; zeros where there are fewer."""
        most = self.config.decoys
        texts = [[*item.decoys, *[None] * most][:most] for item in items]
        flat = self._texts(aligner, [text for of in texts for text in of])
        rows = flat.rows.unflatten(0, (len(items), most))
        return Given(rows, flat.present.unflatten(0, (len(items), most)).any(1))

    def _grounding(
        self,
        items: Sequence[AlignItem],
        name: Modality,
        found: Sequence[Logits],
        device: torch.device,
    ) -> Tensor:
        """The grounding loss of one modality; 0 where no study of the batch has masks.

        Of several processes each balances that of its own items.
        """
        masks = [item.masks.get(name) for item in items if name in item.views]
        some = next((one for one in masks if one is not None), None)
        if some is None or not found:
            return torch.zeros((), device=device)
        rows = torch.stack([torch.zeros_like(some) if one is None else one for one in masks])
        known = torch.tensor([one is not None for one in masks])
        return grounding_loss(found, rows.to(device), known.to(device))

    def _tokens(self, texts: Sequence[str | None], device: torch.device) -> Given:
        longest = self.config.encoders.text.max_tokens
        ids = self.tokenizer.encode([text or "" for text in texts], max_tokens=longest).ids
        has_text = torch.tensor([text is not None for text in texts])
        return Given(ids.to(device), has_text.to(device))

    def _batch(
        self, items: Sequence[AlignItem], view: int, device: torch.device
    ) -> dict[Modality, Given]:
        """What the encoders take: zeros where a study lacks an image."""
        batch = {}
        for name in self.config.images:
            present = torch.tensor([name in item.views for item in items])
            some = next((item.views[name][0] for item in items if name in item.views), None)
            nothing = torch.zeros(1) if some is None else torch.zeros_like(some)
            rows = [item.views[name][view] if name in item.views else nothing for item in items]
            batch[name] = Given(torch.stack(rows).to(device), present.to(device))
        return batch


def _studies(config: AlignConfig, manifest: Path) -> list[ReadStudy]:
    give_back_large_arrays()
    chosen = to_train_on(manifest, allow_outside=config.allow_outside)
    phrases = load_phrases()
    reading = read_studies(
        chosen,
        config.standard,
        phrases,
        modalities=config.images,
        max_bad=config.max_bad,
        workers=config.fit.workers,
        cache=Path(config.cache) if config.cache else None,
        has_masks=config.grounding > 0,
    )
    studies = list(reading)
    given = [_modalities(study) for study in studies]
    seen = {modality for names in given for modality in names}
    wanted = met((Modality.TEXT, *config.images), config.pairs)
    has_wordings = Modality.TEXT in config.train and any(one.counterfactuals for one in studies)
    has_pairs = any({one, other} <= names for names in given for one, other in wanted)
    if not (has_pairs or (has_wordings and config.wordings)):
        words = ", ".join(sorted(map(str, seen))) or "nothing readable"
        raise UsageError(
            f"{manifest}: nothing to align; no study has a report and an image: {words}"
        )
    if config.patch:
        missing = [name for name in config.images if not any(name in one.masks for one in studies)]
        if missing or not config.images or not config.grounding:
            what = f"no {missing[0]}" if missing else "no image"
            raise UsageError(
                f"{manifest}: patches need masks, and {what} that learns has any; "
                "write them with `medgen phantom --masks`, or leave out patch"
            )
    texts = {study.text for study in studies if study.text}
    if config.pairs == "hub" and len(texts) < 2:
        raise UsageError(f"{manifest}: all reports say the same; there is nothing to tell apart")
    return studies


def _findings(studies: Sequence[ReadStudy]) -> tuple[str, ...]:
    """The names of all findings that somebody has drawn."""
    drawn = (masks for study in studies for of in study.masks.values() for masks in of)
    return tuple(sorted({name for masks in drawn for name in masks}))


def _modalities(study: ReadStudy) -> set[Modality]:
    return {*study.images, *([Modality.TEXT] if study.text else [])}
