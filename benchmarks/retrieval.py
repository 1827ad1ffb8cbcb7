"""Do the encoders agree on studies that no training saw? Beside a linear probe, and chance.

The studies are those of `benchmarks.heldout_studies`; the probe learns from what the encoders do,
as `benchmarks.train_flows` makes it, and is left out where that is not.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from benchmarks import heldout_studies, probe
from benchmarks.cards import card_at
from benchmarks.machine import commit, today
from benchmarks.rows import Row, Store, key_of
from benchmarks.train_flows import DEEP_CHESTS, MORE
from medgen.data.manifest import read_manifest
from medgen.metrics.choice import Choice
from medgen.metrics.phrases import load_phrases
from medgen.metrics.retrieval import Agreement
from medgen.modality import Modality
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.aligning.retrieval import RetrievalConfig, evaluate_retrieval
from medgen.tasks.batch import MANIFEST
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.studies import read_studies

PART = "retrieval"
ENCODERS, CHESTS, HANDWRITTEN, PROBE = "encoders", "chests", "handwritten", "probe"
TRAINED_ON = {
    Modality.XRAY: MORE,
    Modality.CT: f"{DEEP_CHESTS}/{MANIFEST}",
    Modality.MRI: "heads.jsonl",  # of `benchmarks.train_align`
}


def retrievals(data: Path, model: str, studies: Path, store: Store) -> Iterator[Row]:
    """A row of each method, with all its figures.

    Args:
        data: The data folder, of whose label maps the held-out heads are made.
        model: Of the encoders, by name or folder; nothing is measured without them.
        studies: Where `benchmarks.train_flows` has its studies; `heldout` is written beside them.
        store: Keeps the rows.
    """
    known = encoders_at(model)
    if not known.keys() & TRAINED_ON.keys():
        return
    key = key_of(*known.values())
    sets = {
        ENCODERS: "heldout.jsonl",
        CHESTS: f"chest/{MANIFEST}",
        HANDWRITTEN: "handwritten.jsonl",
    }
    makers = {
        method: partial(_encoders, data, model, studies / "heldout", listed)
        for method, listed in sets.items()
    }
    listed = {name: of for name, of in TRAINED_ON.items() if name in known}
    if all((studies / of).exists() for of in listed.values()):
        makers[PROBE] = partial(_probe, data, model, studies, listed)
    for method, make in makers.items():
        path = store.path(PART, method, key, "heldout")
        if row := store.row(path, partial(_row, method, make)):
            yield row


def encoders_at(model: str) -> dict[Modality, str]:
    """The encoders that are there, with their hashes; none without a model."""
    card = card_at(model)
    parts = card.parts if card else {}
    return {name: parts[str(name)].sha256 for name in Modality if str(name) in parts}


def _row(method: str, make: "partial[dict[str, float]]") -> Row:
    return Row(PART, "heldout", "", "", method, make(), 0.0, commit(), today())


def _encoders(data: Path, model: str, out: Path, listed: str) -> dict[str, float]:
    heldout_studies.write(data, out)
    found = evaluate_retrieval(out / listed, RetrievalConfig(model))
    return figures(found.pairs, found.choices) | {"studies": float(found.studies)}


def _probe(
    data: Path, model: str, studies: Path, listed: Mapping[Modality, str]
) -> dict[str, float]:
    give_back_large_arrays()
    heldout_studies.write(data, studies / "heldout")
    loaded = load_aligner(model, torch.device("cpu"))
    pairs: dict[str, Agreement] = {}
    choices: dict[str, Mapping[str, Choice]] = {}
    for name, trained_on in listed.items():
        seen, unseen = (
            [
                study
                for study in read_studies(
                    read_manifest(path),
                    loaded.standard,
                    load_phrases(),
                    modalities=(name,),
                    cache=studies / "views",
                )
                if study.text and name in study.images
            ]
            for path in (studies / trained_on, studies / "heldout" / "heldout.jsonl")
        )
        pairs[f"text-{name}"], choices[str(name)] = probe.probe(loaded, name, seen, unseen)
    return figures(pairs, choices)


def figures(
    pairs: Mapping[str, Agreement], choices: Mapping[str, Mapping[str, Choice]]
) -> dict[str, float]:
    """Every figure by a name of its own: `text>ct recall 5`, `ct side right`.

    Of the sizes of lesions, only the recall at 5: `text>ct recall 5, 10 to 20 mm`.
    """
    found: dict[str, float] = {}
    for pair, agreement in pairs.items():
        one, _, other = pair.partition("-")
        ways = {f"{one}>{other}": agreement.there, f"{other}>{one}": agreement.back}
        for way, result in ways.items():
            for k in result.recall:
                found[f"{way} recall {k}"] = result.recall[k]
                found[f"{way} chance {k}"] = result.chance_recall[k]
            found[f"{way} median rank"] = float(result.median_rank)
            found[f"{way} gap"] = agreement.gap
            for size, recall in result.parts.items():
                found[f"{way} recall 5, {size}"] = recall[5]
    for image, by_change in choices.items():
        for change, chosen in by_change.items():
            name = f"{image} {change}"
            found |= {f"{name} right": chosen.right, f"{name} low": chosen.low}
            found |= {f"{name} high": chosen.high, f"{name} count": float(chosen.count)}
    return found
