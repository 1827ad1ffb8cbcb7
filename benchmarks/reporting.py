"""How good reports are: what they say is there, how they read, what they invent, and how fast.

The truth is the facts and reports of held-out chests, in words that no training saw. Three things
to beat, on the same encoders and studies: the report of the nearest training radiograph, the
commonest training report, and an R2Gen-class decoder, which is the writer trained for as long with
nothing but the images to go by (`benchmarks.report_baseline`).
"""

import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.cards import card_at
from benchmarks.machine import commit, today
from benchmarks.report_baseline import NORMALS, UNTOLD
from benchmarks.reporting_more import more
from benchmarks.reporting_sets import CPU, Sets
from benchmarks.rows import Row, Store, key_of
from benchmarks.speed import usage_of
from medgen.checkpoint import Card
from medgen.data.study import Study
from medgen.data.view_cache import cached_view
from medgen.encoders.finder import SEVERITIES
from medgen.finding import Presence
from medgen.metrics.finding_scores import finding_scores
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.metrics.text import text_scores
from medgen.modality import Kind, Modality
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.batch import MANIFEST
from medgen.tasks.codecs.report import REPORT_PART
from medgen.tasks.facts import FACTS, Answers, answers_of, read_facts
from medgen.tasks.finder.model import FINDER, load_finder
from medgen.tasks.finder.usual import FOREIGN
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.model import flow_part
from medgen.tasks.reporting.writer_model import WRITER, load_writer
from medgen.tasks.reporting.writer_train import tokens_of, told_of, untold
from medgen.tasks.studies import read_report

PART = "reports"
TOKENS, LATENT = "tokens", "latent"
NEAREST, COMMONEST, R2GEN = "nearest radiograph", "commonest report", "R2Gen-class"
LATENT_PARTS = (Modality.XRAY, flow_part(Modality.TEXT), REPORT_PART)
BINS = 10
RADIOGRAPH = Kind(Modality.XRAY)
TIMED, REPEATS = 8, 3


def reportings(
    data: Path, model: str, studies: Path, store: Store, threads: int = 2
) -> Iterator[Row]:
    """A row of each method and kind of figure; nothing where the model or the studies lack."""
    card = reporter_at(model)
    if card is None:
        return
    key = _key(card, FINDER, WRITER)
    others = {LATENT: _key(card, *LATENT_PARTS), NEAREST: _key(card, Modality.XRAY)}
    sets = Sets(data, model, studies)
    makers: dict[tuple[str, str], Callable[[], dict[str, float]]] = {
        ("held-out", method): partial(_scores, sets, method)
        for method in (TOKENS, LATENT, NEAREST, COMMONEST, R2GEN)
        if method != R2GEN or not store.measures or (studies / UNTOLD / MODEL).is_dir()
    }
    makers |= {("words of training", TOKENS): partial(_scores, sets, TOKENS, held_out=False)}
    makers |= {("sizes", TOKENS): partial(_sizes, sets), ("curve", TOKENS): partial(_curve, sets)}
    makers |= {("patients", TOKENS): partial(_patients, sets)}
    makers |= {("speed", TOKENS): partial(_speed, sets, threads)}
    if (studies / NORMALS / MANIFEST).exists() or not store.measures:
        makers |= {("normals", TOKENS): partial(_invented, sets)}
    makers |= more(sets)
    for (subject, method), make in makers.items():
        path = store.path(PART, method, key + others.get(method, ""), subject.replace(" ", "-"))
        if row := store.row(path, partial(_row, subject, method, make)):
            yield row


def reporter_at(model: str) -> Card | None:
    """The card of a model that reports; None if there is none: nothing is measured."""
    return card_at(model, FINDER, WRITER)


def _key(card: Card, *parts: str) -> str:
    """What a figure rests on; parts that a model lacks make none."""
    return key_of(*(card.parts[name].sha256 for name in parts if name in card.parts))


def _row(subject: str, method: str, make: Callable[[], dict[str, float]]) -> Row:
    return Row(PART, subject, "xray", "text", method, make(), 0.0, commit(), today())


def _scores(sets: Sets, method: str, *, held_out: bool = True) -> dict[str, float]:
    """How reports read, and whether they say what is there."""
    studies = sets.held_out if held_out else sets.reference
    truth = [read_report(study) or "" for study in studies]
    written = _written(sets, method, studies)
    found = finding_scores(written, truth, load_phrases())
    each = {f"f1 {name}": value for name, value in found.by_name.items()}
    return text_scores(written, truth) | found.as_scores() | each | {"n": float(len(truth))}


def _written(sets: Sets, method: str, studies: Sequence[Study]) -> list[str]:
    match method:
        case "tokens" | "latent":
            return [sets.report(study, engine=method).prose.text for study in studies]
        case "nearest radiograph":
            return _nearest(sets, studies)
        case "commonest report":
            return [_commonest(sets)] * len(studies)
        case _:
            return list(_untold(sets, studies))


@torch.no_grad()
def _nearest(sets: Sets, studies: Sequence[Study]) -> list[str]:
    """The report of the training radiograph whose embedding lies nearest."""
    loaded = load_aligner(sets.model, CPU)
    encoder = loaded.encoder_of(Modality.XRAY)

    def embedded(some: Sequence[Study]) -> torch.Tensor:
        cache = sets.studies / "views"
        paths = (study.of(Modality.XRAY)[0] for study in some)
        views = (cached_view(path, Modality.XRAY, loaded.standard, cache) for path in paths)
        each = [encoder(torch.from_numpy(view)[None].float()).embedding[0] for view in views]
        return torch.stack(each)

    best = (embedded(studies) @ embedded(sets.training).T).argmax(1).tolist()
    return [read_report(sets.training[at]) or "" for at in best]


def _commonest(sets: Sets) -> str:
    """A report of what the training studies have most often: the first that says just that."""
    phrases = load_phrases()
    texts = [read_report(study) or "" for study in sets.training]
    said = [
        frozenset(
            one.name for one in read_findings(text, phrases) if one.presence is Presence.PRESENT
        )
        for text in texts
    ]
    ((most, _),) = Counter(said).most_common(1)
    return texts[said.index(most)]


@torch.no_grad()
def _untold(sets: Sets, studies: Sequence[Study]) -> Iterator[str]:
    """What the writer says that has only the images to go by; nobody reads it back."""
    finder, writer = load_finder(sets.model, CPU), load_writer(sets.studies / UNTOLD / MODEL, CPU)
    claims = len(finder.finder.config.claims)
    nothing = torch.zeros(claims)
    blank = untold(Answers(nothing, nothing, nothing.long(), nothing.long()))
    for study in studies:
        seen = replace(study, images={RADIOGRAPH: study.images[RADIOGRAPH]})
        told = told_of([blank], [tokens_of(seen, finder).float()], CPU)
        ids = writer.writer.beam(told, beams=4, longest=192, length=1.0)[0]
        yield writer.tokenizer.decode(ids)


def _truth(study: Study, sets: Sets) -> Answers:
    shape = load_finder(sets.model, CPU).finder.config
    facts = read_facts(study.of(Modality.XRAY)[0].parent / FACTS)
    return answers_of(facts, shape.claims, shape.regions)


def _sizes(sets: Sets) -> dict[str, float]:
    """Of findings that are there and told: median error of size, right severities and regions."""
    shape = load_finder(sets.model, CPU).finder.config
    off: dict[str, list[float]] = {}
    right: dict[str, list[bool]] = {"severity": [], "region": []}
    for study in sets.held_out + sets.reference:
        truth = _truth(study, sets)
        for row in sets.rows(study.of(Modality.XRAY)[0]):
            at = shape.claims.index(row.claim)
            if truth.there[at] != 1 or row.finding.presence is Presence.ABSENT:
                continue
            if row.size and not truth.size[at].isnan():
                true = float(truth.size[at].exp())
                off.setdefault(f"{row.finding.name}, {row.unit}", []).append(abs(row.size - true))
                off.setdefault(f"{row.finding.name}, share", []).append(abs(row.size / true - 1))
            for name, known in (("severity", SEVERITIES), ("region", shape.regions)):
                number = int(getattr(truth, name)[at])
                said = getattr(row.finding, name)
                if number >= 0 and said is not None:
                    right[name].append(said == known[number])
    found = {f"off {name}": statistics.median(each) for name, each in off.items()}
    return found | {f"right {name}": float(np.mean(each)) for name, each in right.items() if each}


def _invented(sets: Sets) -> dict[str, float]:
    """Share of normal studies that are told a finding at the default operating point."""
    tables = [sets.rows(study.of(Modality.XRAY)[0]) for study in sets.normals]
    said = [{row.finding.presence for row in rows} for rows in tables]
    positive = [Presence.PRESENT in each for each in said]
    doubted = [bool(each - {Presence.ABSENT}) for each in said]
    return {
        "n": float(len(tables)),
        "present": float(np.mean(positive)),
        "present or uncertain": float(np.mean(doubted)),
    }


def _curve(sets: Sets) -> dict[str, float]:
    """Probabilities in ten bins, and the share of them that is true."""
    shape = load_finder(sets.model, CPU).finder.config
    pairs: list[tuple[float, float]] = []
    for study in sets.held_out + sets.reference:
        truth = _truth(study, sets)
        pairs += [
            (row.score, float(truth.there[shape.claims.index(row.claim)]))
            for row in sets.rows(study.of(Modality.XRAY)[0])
        ]
    scores, is_true = (np.array(each) for each in zip(*pairs, strict=True))
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    found: dict[str, float] = {}
    error = 0.0
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            said, true = float(scores[inside].mean()), float(is_true[inside].mean())
            found |= {f"{number} said": said, f"{number} true": true}
            found[f"{number} n"] = float(inside.sum())
            error += abs(said - true) * float(inside.mean())
    return found | {"calibration error": error}


def _patients(sets: Sets) -> dict[str, float]:
    """Real radiographs: how many run, how many look unlike those of training, what is told."""
    paths = sorted((sets.data / "cxr" / "images").iterdir())
    names: Counter[str] = Counter()
    odd, refused, told = [], [], []
    limit = load_finder(sets.model, CPU).calibration.foreign[str(Modality.XRAY)]
    for path in paths:
        foreign = _foreign(sets, path)
        odd.append(foreign > limit)
        refused.append(foreign > FOREIGN[2])
        told_of_it = (row.finding for row in sets.rows(path))
        present = {one.name for one in told_of_it if one.presence is Presence.PRESENT}
        told.append(len(present))
        names.update(present)
    found: Mapping[str, float] = {f"told {name}": n / len(paths) for name, n in names.items()}
    return {
        "n": float(len(paths)),
        "unlike those of training": float(np.mean(odd)),
        "refused without --force": float(np.mean(refused)),
        "findings each": float(np.mean(told)),
        "without": float(np.mean([count == 0 for count in told])),
        **found,
    }


def _foreign(sets: Sets, path: Path) -> float:
    finder = load_finder(sets.model, CPU)
    view = cached_view(path, Modality.XRAY, finder.standard, sets.studies / "views")
    return finder.usual[Modality.XRAY].foreign(torch.from_numpy(view))


def _speed(sets: Sets, threads: int) -> dict[str, float]:
    """Seconds of one radiograph from a cold start, and of each further one of a manifest."""
    paths = [study.of(Modality.XRAY)[0] for study in sets.held_out[:TIMED]]
    folder = paths[0].parent.parent
    manifest = folder / "timed.jsonl"
    rows = (
        f'{{"id": "t{at}", "patient": "t{at}", "xray": "{path.relative_to(folder)}"}}\n'
        for at, path in enumerate(paths)
    )
    manifest.write_text("".join(rows), encoding="utf-8")
    line = [sys.executable, "-m", "medgen", "report", "--model", sets.model, "--device", "cpu"]
    more = ["-o", str(sets.studies / "timed"), "--overwrite"]
    try:
        one = [usage_of([*line, str(paths[0])], threads=threads) for _ in range(REPEATS)]
        all_ = [usage_of([*line, str(manifest), *more], threads=threads) for _ in range(REPEATS)]
    finally:
        manifest.unlink()
    cold = statistics.median(use.seconds for use in one)
    many = statistics.median(use.seconds for use in all_)
    return {
        "cold": cold,
        "each": (many - cold) / (TIMED - 1),
        "peak_gb": max(use.peak_gb for use in all_),
    }
