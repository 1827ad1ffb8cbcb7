"""How simulated radiographs differ from real ones: grey levels, spectrum, and who can tell.

`python -m benchmarks.radiographs --data DIR -n 100 -o OUT` compares radiographs of made-up chests
with those in `DIR/cxr`, AP and PA apart, and writes some of both side by side, to be looked at.
"""

import argparse
import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from benchmarks.data import data_option
from medgen.phantom.chest_study import XRAY, ChestConfig, simulate_chest

SIDE = 256  # pixels that every radiograph is brought to
BINS = 32  # of the histogram, and of the spectrum
BAND = (5, 95)  # per cent of the real ones
FOLDS = 5
RIDGE = 1.0  # penalty of the classifier
VIEWS = ("pa", "ap")
SHOWN = 6

Picture = Float[np.ndarray, "row column"]
Features = Float[np.ndarray, "images features"]


@dataclass(frozen=True)
class Radiographs:
    """Pictures of one view, in [0, 1], bright behind bone.

    Attributes:
        pictures: Each a square.
        patients: Whose they are; no patient is in two folds.
    """

    pictures: list[Picture]
    patients: list[str]


def squared(grey: Float[np.ndarray, "rows columns"]) -> Picture:
    """The middle square of a radiograph, from its 1st to its 99th percentile."""
    rows, columns = grey.shape
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    image = Image.fromarray(grey[top : top + side, left : left + side].astype(np.float32))
    picture = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    low, high = np.percentile(picture, [1, 99])
    return ((picture - low) / max(high - low, 1e-6)).clip(0, 1)


def histogram(picture: Picture) -> Float[np.ndarray, "bins"]:
    """Share of the pixels in each range of grey."""
    counts, _ = np.histogram(picture, BINS, (0, 1))
    return counts / counts.sum()


def spectrum(picture: Picture) -> Float[np.ndarray, "bins"]:
    """Logarithm of the power at each distance from frequency 0, of all power but the mean's."""
    window = np.hanning(SIDE)
    fringe = (picture - picture.mean()) * window[:, None] * window
    power = np.abs(np.fft.fft2(fringe)) ** 2
    frequency = np.fft.fftfreq(SIDE)
    radius = np.hypot(frequency[:, None], frequency)
    ring = np.minimum((radius * 2 * BINS).astype(int), BINS)  # the corners are left out
    sums = np.bincount(ring.ravel(), power.ravel(), BINS + 1)[:BINS]
    return np.log10(sums / sums.sum() + 1e-12)


def inside_band(made: Features, real: Features) -> float:
    """Share of bins in which a simulated radiograph lies between the percentiles of real ones."""
    low, high = np.percentile(real, BAND, axis=0)
    return float(((made >= low) & (made <= high)).mean())


def auc_of_telling(made: Radiographs, real: Radiographs) -> float:
    """How well a logistic classifier tells them apart, on patients that it has not seen.

    Returns:
        Area under the ROC curve: 0.5 if it cannot, 1 if it always can.
    """
    features = np.concatenate([_features(made), _features(real)])
    is_real = np.repeat([False, True], [len(made.pictures), len(real.pictures)])
    patients = np.array([*(f"made {one}" for one in made.patients), *real.patients])
    names = np.random.default_rng(0).permutation(np.unique(patients))
    fold_of = {name: at % FOLDS for at, name in enumerate(names)}
    fold = np.array([fold_of[name] for name in patients])
    score = np.zeros(len(fold))
    for held_out in range(FOLDS):
        seen = fold != held_out
        mean, deviation = features[seen].mean(0), features[seen].std(0) + 1e-9
        ready = (features - mean) / deviation
        score[~seen] = ready[~seen] @ _logistic(ready[seen], is_real[seen])
    ranks = score.argsort().argsort() + 1
    positive, negative = is_real.sum(), (~is_real).sum()
    return float((ranks[is_real].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _features(radiographs: Radiographs) -> Features:
    return np.stack([np.concatenate([histogram(p), spectrum(p)]) for p in radiographs.pictures])


def _logistic(features: Features, labels: np.ndarray) -> Float[np.ndarray, "features"]:
    """Weights of a logistic regression with a ridge; both classes weigh the same."""
    x, y = torch.from_numpy(features), torch.from_numpy(labels).double()
    weights = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    share = torch.where(y > 0, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logits = x @ weights[1:] + weights[0]
        errors = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
        loss: torch.Tensor = (share * errors).sum() + RIDGE / len(y) * weights[1:].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    found: np.ndarray = weights.detach()[1:].numpy()
    return found


def real_radiographs(data: Path, view: str) -> Radiographs:
    """Those of `DIR/cxr` with this projection."""
    folder = data / "cxr"
    with (folder / "data.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["projection"].lower() == view]
    pictures = []
    for row in rows:
        (path,) = (folder / "images").glob(f"{row['image_id']}.*")
        pictures.append(squared(np.asarray(Image.open(path).convert("L"), np.float64)))
    return Radiographs(pictures, [row["patient_id"] for row in rows])


def simulated_radiographs(config: ChestConfig, count: int) -> dict[str, Radiographs]:
    """The first studies, by view."""
    made: dict[str, Radiographs] = {view: Radiographs([], []) for view in VIEWS}
    for index in range(count):
        study = simulate_chest(config, index)
        of_view = made[study.facts["view"]]
        of_view.pictures.append(squared(study.images[XRAY].voxels.astype(np.float64)))
        of_view.patients.append(str(index))
    return made


def _sheet(made: Radiographs, real: Radiographs) -> Image.Image:
    rows = [np.concatenate(one.pictures[:SHOWN], axis=1) for one in (made, real)]
    width = min(row.shape[1] for row in rows)
    return Image.fromarray(
        (255 * np.concatenate([row[:, :width] for row in rows])).astype(np.uint8)
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON and write the pictures."""
    parser = argparse.ArgumentParser(prog="benchmarks.radiographs", description=__doc__)
    data_option(parser)
    parser.add_argument("-n", "--number", type=int, default=100, metavar="N")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="of `benchmarks.thorax`")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/radiographs"), metavar="DIR")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    config = ChestConfig(seed=1, labels=options.labels, kinds=(XRAY,))
    made = simulated_radiographs(config, options.number)
    results = {}
    for view in VIEWS:
        real = real_radiographs(options.data, view)
        bands = [
            inside_band(
                np.stack(list(map(of, made[view].pictures))), np.stack(list(map(of, real.pictures)))
            )
            for of in (histogram, spectrum)
        ]
        results[view] = {
            "simulated": len(made[view].pictures),
            "real": len(real.pictures),
            "histogram_inside_band": round(bands[0], 3),
            "spectrum_inside_band": round(bands[1], 3),
            "auc": round(auc_of_telling(made[view], real), 3),
        }
        _sheet(made[view], real).save(options.out / f"{view}.png")
    print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
