"""How good generated CTs of chests are: what they show by geometry, and how real they look.

The prompts are the reports of held-out chests, told nothing else; what is measured in them
(`benchmarks.chest_measures`) is measured in the held-out chests themselves first.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from benchmarks import heldout_studies
from benchmarks.chest_measures import ChestMeasures, measure_chest
from benchmarks.generation import (
    FLOOR,
    NEAREST,
    OURS,
    REAL,
    UNTOLD,
    distance_in,
    embeddings,
    shares_of,
)
from benchmarks.machine import commit, today
from benchmarks.radiograph_sets import Prompted, prompts_of
from benchmarks.rows import Row, Store, key_of
from medgen.checkpoint import model_folder, read_card
from medgen.data.intensity import HOUNSFIELD
from medgen.data.manifest import read_manifest
from medgen.data.standard import StandardConfig
from medgen.data.study import Study
from medgen.errors import ModelError
from medgen.finding import Side
from medgen.io.atomic import atomic_file
from medgen.metrics.random_features import random_features
from medgen.modality import Modality
from medgen.tasks.align_model import load_aligner
from medgen.tasks.codec_images import CELLS, framed_whole
from medgen.tasks.codec_model import codec_part
from medgen.tasks.flow_model import flow_part
from medgen.tasks.generate import GenerateConfig, generate, understood

PART = "chests"
# medgen phantom --anatomy thorax --with text,xray,ct --counterfactuals 3 --masks -n 800 --seed 5001
TRAINING = "volume-chests/manifest.jsonl"
CLAIMS = (
    ("pleural_effusion", Side.LEFT),
    ("pleural_effusion", Side.RIGHT),
    ("cardiomegaly", None),
)
FACTS, FIDELITY = (OURS, UNTOLD, NEAREST, REAL), (OURS, NEAREST, FLOOR)
PLANES = ("sagittal", "coronal", "axial")
UNTOLD_CHESTS = 50
SPACING = 3.0  # of all chests, mm

Volumes = Float[np.ndarray, "chests right anterior superior"]


@dataclass(frozen=True)
class Chests:
    """CTs in HU on the grid of the flow, and the spacing of its voxels, mm."""

    hu: Volumes
    spacing: float

    @cached_property
    def measures(self) -> list[ChestMeasures]:
        """Of each."""
        return [measure_chest(each, self.spacing) for each in self.hu]


@dataclass(frozen=True)
class Sets:
    """All chests that the figures are about, each made or read once.

    Attributes:
        data: The data folder.
        model: By name or folder.
        studies: Folder of the manifests.
        keep: Where generated chests are kept.
    """

    data: Path
    model: str
    studies: Path
    keep: Path

    @property
    def config(self) -> GenerateConfig:
        """How chests are made: the command's defaults."""
        return GenerateConfig(
            "ct", model=self.model, device="cpu", unconditional=True, spacing=SPACING
        )

    @cached_property
    def held_out(self) -> list[Study]:
        """The chests whose reports are the prompts."""
        return heldout_studies.chests(self.data, self.studies / "heldout")

    @cached_property
    def prompts(self) -> list[Prompted]:
        """What they say, and what is true of them."""
        return prompts_of(self.held_out)

    @cached_property
    def training_studies(self) -> list[Study]:
        """What the flow was trained on."""
        return list(read_manifest(self.studies / TRAINING))

    @cached_property
    def real(self) -> Chests:
        """The held-out chests themselves."""
        return self._read(self.held_out)

    @cached_property
    def ours(self) -> Chests:
        """One of each prompt."""
        return self._made([one.text for one in self.prompts], "told")

    @cached_property
    def untold(self) -> Chests:
        """Without a prompt."""
        return self._made([""] * UNTOLD_CHESTS, "untold")

    @cached_property
    def floor(self) -> Chests:
        """As many of the training chests."""
        return self._read(self.training_studies[:: len(self.training_studies) // 100][:100])

    @cached_property
    def nearest(self) -> Chests:
        """The training chests whose reports lie nearest to each prompt: what to beat."""
        loaded = load_aligner(self.model, torch.device("cpu"))
        asked = embeddings(loaded, [one.text for one in self.prompts])
        known = embeddings(loaded, [one.text for one in prompts_of(self.training_studies)])
        best = (asked @ known.T).argmax(1).tolist()
        return self._read([self.training_studies[at] for at in best])

    def _read(self, studies: Sequence[Study]) -> Chests:
        frame = StandardConfig(shape=(CELLS, CELLS, CELLS), spacings=(SPACING,))
        wholes = [framed_whole(s.of(Modality.CT)[0], Modality.CT, frame) for s in studies]
        hu = np.stack([HOUNSFIELD.denormalise(one.image[0].float().numpy()) for one in wholes])
        return Chests(hu.astype(np.float32), wholes[0].spacing)

    def _made(self, texts: Sequence[str], name: str) -> Chests:
        """One of each text, from seeds of its own; kept."""
        path = self.keep / f"{name}.npz"
        if not path.exists():
            images = []
            for seed, text in enumerate(texts):
                config = replace(self.config, seed=seed)
                images += [one.images[0] for one in generate(understood(text, config), [], config)]
            self.keep.mkdir(parents=True, exist_ok=True)
            hu = np.stack([image.voxels for image in images]).astype(np.int16)
            with atomic_file(path, overwrite=True) as draft, draft.open("wb") as file:
                np.savez_compressed(file, hu=hu, spacing=images[0].geometry.spacing[0])
        with np.load(path) as kept:
            return Chests(kept["hu"].astype(np.float32), float(kept["spacing"]))


def chests(data: Path, model: str, studies: Path, store: Store) -> Iterator[Row]:
    """A row of each method and kind of figure; nothing where the model makes no CT.

    Args:
        data: The data folder.
        model: By name or folder.
        studies: Where `benchmarks.train_flows` has its studies; `heldout` is written beside them.
        store: Keeps the rows and the volumes.
    """
    try:
        parts = read_card(model_folder(model)).parts
    except ModelError:
        return
    names = (flow_part(Modality.CT), codec_part(Modality.CT))
    if not parts.keys() >= set(names):
        return
    key = key_of(*(parts[name].sha256 for name in names))
    sets = Sets(data, model, studies, store.folder / "chests" / key)
    makers = {
        **{("facts", method): partial(_facts, sets, method) for method in FACTS},
        **{("fidelity", method): partial(_fidelity, sets, method) for method in FIDELITY},
    }
    for (subject, method), make in makers.items():
        path = store.path(PART, method, key, subject)
        row = partial(_row, subject, method, make)
        if (studies / TRAINING).exists() and (found := store.row(path, row)):
            yield found


def _row(subject: str, method: str, make: Callable[[], dict[str, float]]) -> Row:
    return Row(PART, subject, "text", "ct", method, make(), 0.0, commit(), today())


def _facts(sets: Sets, method: str) -> dict[str, float]:
    """How often what is said of a chest is what is measured in it."""
    made = {OURS: "ours", UNTOLD: "untold", NEAREST: "nearest", REAL: "real"}[method]
    measures = getattr(sets, made).measures
    hits: Mapping[str, list[bool]] = defaultdict(list)
    for at, prompt in enumerate(sets.prompts):
        measured: ChestMeasures = measures[at % len(measures)]
        for name, side in CLAIMS:
            if (is_said := _is_said(prompt, name, side)) is None:
                continue
            shows = measured.shows(name, side)
            hits["present" if is_said else "absent"].append(shows == is_said)
            hits[name].append(shows == is_said)
            hits["all"].append(shows == is_said)
            if is_said:
                hits[f"{name}, present"].append(shows)
    fluids = [one.fluid_hu for one in measures if not math.isnan(one.fluid_hu)]
    return shares_of(hits) | {"fluid hu": float(np.median(fluids)) if fluids else math.nan}


def _is_said(prompt: Prompted, name: str, side: Side | None) -> bool | None:
    """Whether it is true of the prompt's chest; None where nobody knows."""
    listed = prompt.facts["findings"]
    assert isinstance(listed, list)
    told = [one for one in listed if one["name"] == name]
    if not told:
        return None
    sides = ("both", None if side is None else str(side))
    return any(one["presence"] == "present" and one.get("side") in sides for one in told)


def _fidelity(sets: Sets, method: str) -> dict[str, float]:
    """How far the middle planes of chests are from those of held-out chests."""
    of = getattr(sets, {OURS: "ours", NEAREST: "nearest", FLOOR: "floor"}[method])
    found = {"n": float(len(of.hu))}
    for axis, plane in enumerate(PLANES):
        one, other = (_features(chests, axis) for chests in (of, sets.real))
        found |= distance_in(one, other, plane)
    return found


@torch.no_grad()
def _features(chests: Chests, axis: int) -> Float[np.ndarray, "chests width"]:
    """Random features of the middle planes across an axis."""
    planes = chests.hu.take(chests.hu.shape[1 + axis] // 2, axis=1 + axis)
    rows = torch.from_numpy(HOUNSFIELD.normalise(planes))[:, None].float()
    return random_features(rows).double().numpy()
