"""Who says what a radiograph shows: a small network that no flow was trained or chosen with.

`python -m benchmarks.judge MANIFEST --held-out MANIFEST` trains it on simulated radiographs, says
how often it is right on others, and writes `benchmarks/judge.safetensors`. It reads pixels, shares
no weights with the encoders, and was fixed before the flows were trained.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.brief_fit import fit_briefly
from benchmarks.radiographs import squared
from medgen.data.manifest import read_manifest
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.modality import Modality

WEIGHTS = Path(__file__).with_name("judge.safetensors")
SIDE = 96  # pixels
WIDTHS = (24, 48, 64, 64)
EPOCHS, BATCH, PEAK, DECAY = 40, 32, 2e-3, 0.05
SHIFT, GAIN, NOISE = 5, 0.1, 0.05  # pixels, and shares of the grey range
SEED = 77
SURE = 0.95  # of the answers on held-out radiographs that must be right for a finding to be judged
BOTH = ("left", "right")

Claim = tuple[str, str | None]
"""A finding, and the side of the patient that it is on; None where it has none."""
CLAIMS: tuple[Claim, ...] = (
    *((name, side) for name in ("pleural_effusion", "pneumothorax") for side in BOTH),
    *((name, side) for name in ("consolidation", "atelectasis", "mass") for side in BOTH),
    *((name, side) for name in ("nodule", "device", "fracture") for side in BOTH),
    *((name, None) for name in ("cardiomegaly", "emphysema", "oedema")),
)
Pixels = Float[Tensor, "images 1 side side"]


class Judge(nn.Module):
    """Radiographs in, the log-odds of every claim out."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((1, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(width)]
            layers += [nn.MaxPool2d(2)]
        cells = WIDTHS[-1] * (SIDE // 2 ** len(WIDTHS)) ** 2
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(cells, len(CLAIMS))
        )

    def forward(self, pixels: Pixels) -> Float[Tensor, "images claims"]:
        """Above 0: it is there."""
        found = self.layers(pixels)
        assert isinstance(found, Tensor)
        return found

    @torch.no_grad()
    def read(self, images: Sequence[MedicalImage]) -> Float[np.ndarray, "images claims"]:
        """How likely each claim is of each radiograph, 0 to 1."""
        answers: np.ndarray = self.eval()(pixels_of(images)).sigmoid().numpy()
        return answers


@dataclass(frozen=True)
class Verdict:
    """How well the judge reads one claim.

    Attributes:
        claim: What it is asked.
        present: Held-out radiographs of which it is true.
        accuracy: Share of all that it answers right.
        auc: Area under the ROC curve.
    """

    claim: Claim
    present: int
    accuracy: float
    auc: float

    @property
    def is_sure(self) -> bool:
        """Whether it may judge this claim."""
        return self.accuracy >= SURE and self.auc >= SURE


def load_judge(path: Path = WEIGHTS) -> Judge:
    """The judge as it was fixed."""
    judge = Judge()
    judge.load_state_dict(load_file(path))
    return judge.eval()


def pixels_of(images: Sequence[MedicalImage]) -> Pixels:
    """Squares in [-1, 1], their grey levels from the 1st to the 99th percentile."""
    squares = np.stack([squared(image.voxels.astype(np.float64)) for image in images])
    pixels = torch.from_numpy(squares)[:, None].float()
    return 2 * F.interpolate(pixels, (SIDE, SIDE), mode="area") - 1


def claims_of(facts: Mapping[str, object]) -> Bool[np.ndarray, "claims"]:
    """Which claims are true, from a simulated study's `findings.json`."""
    listed = facts["findings"]
    assert isinstance(listed, list)
    there = {
        (one["name"], side)
        for one in listed
        if one["presence"] == "present"
        for side in (None, *(BOTH if one.get("side") == "both" else (one.get("side"),)))
    }
    return np.array([claim in there for claim in CLAIMS])


def read_studies(manifest: Path) -> tuple[Pixels, Bool[np.ndarray, "studies claims"]]:
    """The radiographs of a simulated manifest, and what they show."""
    pixels, truths = [], []
    for study in read_manifest(manifest):
        for path in study.of(Modality.XRAY):
            pixels.append(pixels_of([files.read(path)]))
            facts = json.loads((path.parent / "findings.json").read_text(encoding="utf-8"))
            truths.append(claims_of(facts))
    return torch.cat(pixels), np.stack(truths)


def train_judge(pixels: Pixels, truths: Bool[np.ndarray, "studies claims"]) -> Judge:
    """Train a judge from scratch; moved, brightened, blurred and noisy pixels are as true."""
    torch.manual_seed(SEED)
    judge, wanted = Judge(), torch.from_numpy(truths).float()
    steps = EPOCHS * -(-len(pixels) // BATCH)
    losses = (
        F.binary_cross_entropy_with_logits(judge(_varied(pixels[rows])), wanted[rows])
        for _ in range(EPOCHS)
        for rows in torch.randperm(len(pixels)).split(BATCH)
    )
    fit_briefly(judge, losses, steps=steps, learning_rate=PEAK, weight_decay=DECAY)
    return judge


def _varied(pixels: Pixels) -> Pixels:
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2,)).tolist()
    moved = pixels.roll((down, right), (2, 3)) * (1 + GAIN * torch.randn(len(pixels), 1, 1, 1))
    if torch.rand(()) < 0.5:
        moved = F.avg_pool2d(moved, 3, stride=1, padding=1, count_include_pad=False)
    return moved + NOISE * torch.randn_like(moved)


def verdicts(judge: Judge, pixels: Pixels, truths: Bool[np.ndarray, "s c"]) -> list[Verdict]:
    """How well the judge reads held-out radiographs."""
    with torch.no_grad():
        odds = judge(pixels).numpy()
    return [
        Verdict(
            claim,
            int(truths[:, at].sum()),
            float(((odds[:, at] > 0) == truths[:, at]).mean()),
            auc(odds[:, at], truths[:, at]),
        )
        for at, claim in enumerate(CLAIMS)
    ]


def auc(scores: Float[np.ndarray, "studies"], is_true: Bool[np.ndarray, "studies"]) -> float:
    """Area under the ROC curve: how often what is there scores higher than what is not."""
    there, not_there = scores[is_true], scores[~is_true]
    if not len(there) or not len(not_there):
        return float("nan")
    return float((there[:, None] > not_there).mean())


def main(arguments: list[str] | None = None) -> int:
    """Train, examine, write; prints the examination as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.judge", description=__doc__)
    parser.add_argument("manifests", type=Path, nargs="*", help="to train on; none: examine only")
    parser.add_argument("--held-out", type=Path, required=True, metavar="MANIFEST")
    parser.add_argument("-o", "--out", type=Path, default=WEIGHTS, metavar="FILE")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.manifests:
        read = [read_studies(path) for path in options.manifests]
        judge = train_judge(torch.cat([p for p, _ in read]), np.concatenate([t for _, t in read]))
        save_file(judge.state_dict(), options.out)
    judge = load_judge(options.out)
    found = verdicts(judge, *read_studies(options.held_out))
    listed = [
        {
            "finding": one.claim[0],
            "side": one.claim[1],
            "present": one.present,
            "accuracy": round(one.accuracy, 3),
            "auc": round(one.auc, 3),
            "judges": one.is_sure,
        }
        for one in found
    ]
    sure = [one.accuracy for one in found if one.is_sure]
    result = {
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
        "accuracy": round(float(np.mean([one.accuracy for one in found])), 3),
        "accuracy_of_judged": round(float(np.mean(sure)), 3) if sure else None,
        "claims": listed,
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
