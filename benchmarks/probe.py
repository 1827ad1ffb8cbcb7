"""A linear probe: what a ridge regression from very small images to the text's embedding finds.

`python -m benchmarks.probe TRAIN TEST --model DIR` fits it on the studies of one manifest and lets
it retrieve those of another. An encoder that is no better has learned nothing but where it is dark.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from medgen.data.manifest import read_manifest
from medgen.encoders.text import TextEncoder
from medgen.metrics.choice import Choice, choice
from medgen.metrics.phrases import load_phrases
from medgen.metrics.retrieval import Agreement, agreement
from medgen.modality import Modality
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.aligning.retrieval import in_words
from medgen.tasks.document import to_document
from medgen.tasks.studies import IMAGES, ReadStudy, read_studies

SMALL = {2: 12, 3: 4}  # pixels a side: a sixteenth of a radiograph, 56 to 100 mm of a volume
RIDGES = (1.0, 10.0, 100.0, 1000.0)  # chosen on a fifth of the training studies
GALLERY = 100

Features = Float[np.ndarray, "studies numbers"]


def features(studies: Sequence[ReadStudy], modality: Modality) -> Features:
    """The first image of each study, averaged to a few pixels, and a 1 for the constant."""
    rows = []
    for study in studies:
        view = study.images[modality][0].float()
        pool = F.adaptive_avg_pool2d if view.ndim == 3 else F.adaptive_avg_pool3d
        small = pool(view[None], SMALL[view.ndim - 1])
        rows.append(torch.cat([small.flatten(), torch.ones(1)]).numpy())
    return np.stack(rows).astype(np.float64)


def ridge(x: Features, y: Features, penalty: float) -> Features:
    """Weights that take `x` to `y` with the least squares and this penalty; through the dual."""
    gram = x @ x.T + penalty * np.eye(len(x))
    weights: np.ndarray = x.T @ np.linalg.solve(gram, y)
    return weights


def fitted(x: Features, y: Features) -> Features:
    """The ridge regression whose penalty does best on the last fifth."""
    cut = -(-4 * len(x) // 5)
    errors = [np.square(x[cut:] @ ridge(x[:cut], y[:cut], each) - y[cut:]).sum() for each in RIDGES]
    return ridge(x, y, RIDGES[int(np.argmin(errors))])


def embedded(loaded: LoadedAligner, texts: Sequence[str]) -> Features:
    """Embeddings of texts."""
    encoder = loaded.aligner.encoders[Modality.TEXT]
    assert isinstance(encoder, TextEncoder)
    ids = loaded.tokenizer.encode(list(texts), max_tokens=encoder.config.max_tokens).ids
    with torch.inference_mode():
        vectors: np.ndarray = encoder(ids).embedding.numpy().astype(np.float64)
    return vectors


def unit(rows: Features) -> Features:
    """Rows of length 1."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: np.ndarray = rows / np.maximum(lengths, 1e-12)
    return scaled


def probe(
    loaded: LoadedAligner,
    name: Modality,
    seen: Sequence[ReadStudy],
    unseen: Sequence[ReadStudy],
) -> tuple[Agreement, dict[str, Choice]]:
    """Fit on the seen studies, all of which have a report and this image; measure on the unseen."""
    weights = fitted(features(seen, name), embedded(loaded, [study.text or "" for study in seen]))
    images = unit(features(unseen, name) @ weights)
    texts = embedded(loaded, [study.text or "" for study in unseen])
    groups = np.array([study.group for study in unseen])
    sizes = [in_words(study.largest_mm) for study in unseen]
    margins: dict[str, list[float]] = {}
    for image, study in zip(images, unseen, strict=True):
        for pair in study.counterfactuals:
            says, changed = embedded(loaded, [pair.says, pair.changed])
            margins.setdefault(str(pair.change), []).append(float((says - changed) @ image))
    found = agreement(texts, images, groups=groups, parts=sizes, gallery=GALLERY)
    return found, {change: choice(each) for change, each in margins.items()}


def main(arguments: list[str] | None = None) -> int:
    """Print retrieval and choices of each modality as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.probe", description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--model", required=True, metavar="NAME|DIR")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="as for medgen align")
    options = parser.parse_args(arguments)
    loaded = load_aligner(options.model, torch.device("cpu"))
    phrases, found = load_phrases(), {}
    train, test = (
        list(read_studies(read_manifest(path), loaded.standard, phrases, cache=options.cache))
        for path in (options.train, options.test)
    )
    for name in IMAGES:
        seen, unseen = ([s for s in part if s.text and name in s.images] for part in (train, test))
        if len(seen) < 10 or len(unseen) < 2:
            continue
        retrieved, choices = probe(loaded, name, seen, unseen)
        found[f"text-{name}"] = {
            "retrieval": json.loads(to_document(retrieved)),
            "choices": {change: json.loads(to_document(one)) for change, one in choices.items()},
        }
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
