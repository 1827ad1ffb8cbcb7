"""Sets of radiographs on one grid: real ones, and those that a model makes of reports."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.judge import Claim, Judge
from medgen.data.study import Study
from medgen.io.atomic import atomic_file
from medgen.io.detector import flat_detector
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality
from medgen.tasks.codecs.images import FrameConfig, framed
from medgen.tasks.generate import Sample, generate, understood
from medgen.tasks.generating.config import GenerateConfig

DARK = -0.7  # of [-1, 1]: darker rows and columns at the edges are margin, if not quite black
WHITE = 4095

Pictures = Float[np.ndarray, "images side side"]
"""In [-1, 1], margins included, as the codec frames them."""


@dataclass(frozen=True)
class Prompted:
    """A held-out study as a prompt.

    Attributes:
        text: Its report.
        facts: Its findings.
    """

    text: str
    facts: dict[str, object]


def prompts_of(studies: Sequence[Study]) -> list[Prompted]:
    """The reports of simulated radiographs, and what they say."""
    found = []
    for study in studies:
        assert study.text is not None
        facts = json.loads((study.text.parent / "findings.json").read_text(encoding="utf-8"))
        found.append(Prompted(study.text.read_text(encoding="utf-8").strip(), facts))
    return found


def real_pictures(studies: Sequence[Study], frame: FrameConfig, cache: Path) -> Pictures:
    """The radiographs of studies."""
    views = [framed(study.of(Modality.XRAY)[0], Modality.XRAY, frame, cache) for study in studies]
    return torch.cat(views).float().numpy()


def made_pictures(texts: Sequence[str], config: GenerateConfig, keep: Path) -> Pictures:
    """Radiographs of each text, from seeds of its own; kept in a folder by what they are of."""
    words = json.dumps([list(texts), repr(replace(config, together=1))])
    path = keep / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        pictures = [
            2 * sample.image.voxels.astype(np.float32) / WHITE - 1
            for seed, text in enumerate(texts, start=config.seed)
            for sample in _made(text, replace(config, seed=seed))
        ]
        keep.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, overwrite=True) as draft, draft.open("wb") as file:
            np.save(file, np.stack(pictures).astype(np.float16))
    return np.load(path).astype(np.float32)


def _made(text: str, config: GenerateConfig) -> Iterator[Sample]:
    return generate(understood(text, config), [], config)


def judged(judge: Judge, pictures: Pictures) -> Float[np.ndarray, "images claims"]:
    """What the judge says of each picture, 0 to 1; margins are cut off first."""
    return judge.read([as_image(picture) for picture in pictures])


def as_image(picture: Float[np.ndarray, "side side"]) -> MedicalImage:
    """A picture without its margins, as a radiograph."""
    rows, columns = (np.flatnonzero((picture > DARK).mean(axis) > 0.02) for axis in (1, 0))
    inner = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else picture
    grey = ((inner + 1) / 2 * WHITE).clip(0, WHITE).astype(np.uint16)
    return MedicalImage(grey, flat_detector(), Kind(Modality.XRAY), spacing_is_known=False)


def stated(prompt: Prompted) -> list[tuple[Claim, str]]:
    """What a report says is there, each with its severity or size in words."""
    listed = prompt.facts["findings"]
    assert isinstance(listed, list)
    found: list[tuple[Claim, str]] = []
    for one in listed:
        if one["presence"] == "present":
            sides = ("left", "right") if one.get("side") == "both" else (one.get("side"),)
            size = str(one.get("severity") or _size(one.get("size_mm")))
            found += [((one["name"], side), size) for side in sides]
    return found


def _size(millimetres: float | None) -> str:
    if millimetres is None:
        return "not measured"
    return "under 20 mm" if millimetres < 20 else "20 mm and more"
