"""How good generated CTs are: what they show by geometry, and how real they look.

The prompts are the reports of held-out chests or heads, told nothing else; what is measured in them
(`benchmarks.chest_measures`, `benchmarks.head_measures`) is measured in the held-out studies
themselves first.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float

from benchmarks import heldout_studies
from benchmarks.cards import card_at
from benchmarks.chest_measures import measure_chest
from benchmarks.generation import (
    FLOOR,
    NEAREST,
    OURS,
    REAL,
    UNTOLD,
    distance_in,
    nearest_reports,
    shares_of,
)
from benchmarks.head_measures import LEAST_MM, measure_head
from benchmarks.machine import commit, today
from benchmarks.radiograph_sets import Prompted, prompts_of
from benchmarks.rows import Row, Store, key_of
from benchmarks.train_flows import DRAWN, DRAWN_HEADS
from medgen.data.intensity import HOUNSFIELD
from medgen.data.manifest import read_manifest
from medgen.data.standard import StandardConfig
from medgen.data.study import Study
from medgen.finding import Side
from medgen.io.atomic import atomic_file
from medgen.metrics.random_features import random_features
from medgen.modality import Modality
from medgen.tasks.codecs.images import CELLS, framed_whole
from medgen.tasks.codecs.model import codec_part
from medgen.tasks.flows.model import flow_part
from medgen.tasks.generate import generate, understood
from medgen.tasks.generating.config import GenerateConfig

FACTS, FIDELITY = (OURS, UNTOLD, NEAREST), (OURS, NEAREST, FLOOR)
GEOMETRY = "geometry"  # key of what no model has a part in
PLANES = ("sagittal", "coronal", "axial")
TOLD_NOTHING = 50

Volumes = Float[np.ndarray, "studies right anterior superior"]
Listed = dict[str, Any]


class Measures(Protocol):
    """What was found in one CT."""

    @property
    def density_hu(self) -> float:
        """Of what is there if it is ill; NaN without."""

    def shows(self, name: str, side: Side | None) -> bool:
        """Whether a finding is there."""


@dataclass(frozen=True)
class Anatomy:
    """What the CTs are of, and what is measured in them.

    Attributes:
        name: `chests` or `heads`.
        training: Manifest of what the flow has learned from, in the folder of studies.
        spacing: Of all, mm.
        claims: Findings, and the side of each that has one.
        measure: A volume and its spacing in, what it shows out.
        is_clear: Whether a finding that is there is large enough to be asked about.
        held_out: The held-out studies, by the data folder and a folder of their own.
    """

    name: str
    training: str
    spacing: float
    claims: tuple[tuple[str, Side | None], ...]
    measure: Callable[[np.ndarray, float], Measures]
    is_clear: Callable[[Listed], bool]
    held_out: Callable[[Path, Path], list[Study]]

    @property
    def part(self) -> str:
        """Of the benchmark."""
        return f"ct-{self.name}"


def _is_clear_in_heads(finding: Listed) -> bool:
    if finding["name"] == "haemorrhage":
        return bool(finding["size_mm"] >= LEAST_MM)
    return bool(finding["severity"] != "small")


CHESTS = Anatomy(
    "chests",
    DRAWN,
    3.0,
    (("pleural_effusion", Side.LEFT), ("pleural_effusion", Side.RIGHT), ("cardiomegaly", None)),
    measure_chest,
    lambda _: True,
    heldout_studies.chests,
)
HEADS = Anatomy(
    "heads",
    DRAWN_HEADS,
    2.0,
    (("haemorrhage", Side.LEFT), ("haemorrhage", Side.RIGHT), ("ventriculomegaly", None)),
    measure_head,
    _is_clear_in_heads,
    heldout_studies.heads,
)


@dataclass(frozen=True)
class Scans:
    """CTs in HU on the grid of the flow, and the spacing of its voxels, mm."""

    hu: Volumes
    spacing: float

    def measured(self, anatomy: Anatomy) -> list[Measures]:
        """What each shows."""
        return [anatomy.measure(each, self.spacing) for each in self.hu]


@dataclass(frozen=True)
class Sets:
    """All CTs that the figures are about, each made or read once.

    Attributes:
        anatomy: What they are of.
        data: The data folder.
        model: By name or folder.
        studies: Folder of the manifests.
        keep: Where generated CTs are kept.
    """

    anatomy: Anatomy
    data: Path
    model: str
    studies: Path
    keep: Path

    @property
    def config(self) -> GenerateConfig:
        """How they are made: the command's defaults."""
        spacing = self.anatomy.spacing
        return GenerateConfig(
            "ct", model=self.model, device="cpu", unconditional=True, spacing=spacing
        )

    @cached_property
    def held_out(self) -> list[Study]:
        """The studies whose reports are the prompts."""
        return self.anatomy.held_out(self.data, self.studies / "heldout")

    @cached_property
    def prompts(self) -> list[Prompted]:
        """What they say, and what is true of them."""
        return prompts_of(self.held_out)

    @cached_property
    def training_studies(self) -> list[Study]:
        """What the flow was trained on."""
        return list(read_manifest(self.studies / self.anatomy.training))

    @cached_property
    def real(self) -> Scans:
        """The held-out studies themselves."""
        return self.seen(self.held_out)

    @cached_property
    def ours(self) -> Scans:
        """One of each prompt."""
        return self.made([one.text for one in self.prompts], "told")

    @cached_property
    def untold(self) -> Scans:
        """Without a prompt."""
        return self.made([""] * TOLD_NOTHING, "untold")

    @cached_property
    def floor(self) -> Scans:
        """As many of the training studies."""
        return self.seen(self.training_studies[:: len(self.training_studies) // 100][:100])

    @cached_property
    def nearest(self) -> Scans:
        """The training studies whose reports lie nearest to each prompt: what to beat."""
        known = prompts_of(self.training_studies)
        best = nearest_reports(self.model, self.prompts, known, 1)
        return self.seen([self.training_studies[at] for at in best])

    def seen(self, studies: Sequence[Study]) -> Scans:
        """The CTs of studies."""
        frame = StandardConfig(shape=(CELLS, CELLS, CELLS), spacings=(self.anatomy.spacing,))
        wholes = [framed_whole(s.of(Modality.CT)[0], Modality.CT, frame) for s in studies]
        hu = np.stack([HOUNSFIELD.denormalise(one.image[0].float().numpy()) for one in wholes])
        return Scans(hu.astype(np.float32), wholes[0].spacing)

    def made(self, texts: Sequence[str], name: str) -> Scans:
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
            return Scans(kept["hu"].astype(np.float32), float(kept["spacing"]))


def cts(anatomy: Anatomy, data: Path, model: str, studies: Path, store: Store) -> Iterator[Row]:
    """A row of each method and kind of figure; of a model that makes none, of the measures only.

    Args:
        anatomy: What the CTs are of.
        data: The data folder.
        model: By name or folder.
        studies: Where `benchmarks.train_flows` has its studies; `heldout` is written beside them.
        store: Keeps the rows and the volumes.
    """
    key = key_at(model, anatomy)
    sets = Sets(anatomy, data, model, studies, store.folder / anatomy.part / (key or ""))
    makers = {("facts", REAL): (GEOMETRY, partial(_facts, sets, REAL))}
    if key is not None and (studies / anatomy.training).exists():
        for method in FACTS:
            makers["facts", method] = key, partial(_facts, sets, method)
        for method in FIDELITY:
            makers["fidelity", method] = key, partial(_fidelity, sets, method)
    for (subject, method), (own_key, make) in makers.items():
        path = store.path(anatomy.part, method, own_key, subject)
        if found := store.row(path, partial(_row, anatomy.part, subject, method, make)):
            yield found


def key_at(model: str, anatomy: Anatomy) -> str | None:
    """Of what makes CTs of an anatomy; None if nothing does."""
    flow = flow_part(Modality.CT)
    card = card_at(model, flow)
    if card is None or anatomy.spacing not in card.parts[flow].config["spacings"]:
        return None
    codec = codec_part(Modality.CT, card.parts[flow].config.get("codec", ""))
    return key_of(*(card.parts[name].sha256 for name in (flow, codec)))


def _row(part: str, subject: str, method: str, make: Callable[[], dict[str, float]]) -> Row:
    return Row(part, subject, "text", "ct", method, make(), 0.0, commit(), today())


def _facts(sets: Sets, method: str) -> dict[str, float]:
    """How often what is said of a study is what is measured in it."""
    made = {OURS: "ours", UNTOLD: "untold", NEAREST: "nearest", REAL: "real"}[method]
    measures = getattr(sets, made).measured(sets.anatomy)
    hits: Mapping[str, list[bool]] = defaultdict(list)
    for at, prompt in enumerate(sets.prompts):
        measured: Measures = measures[at % len(measures)]
        for name, side in sets.anatomy.claims:
            if (told := is_said(prompt, name, side, sets.anatomy)) is None:
                continue
            shows = measured.shows(name, side)
            hits["present" if told else "absent"].append(shows == told)
            hits[name].append(shows == told)
            hits["all"].append(shows == told)
            if told:
                hits[f"{name}, present"].append(shows)
    found = [one.density_hu for one in measures if not math.isnan(one.density_hu)]
    return shares_of(hits) | {"density hu": float(np.median(found)) if found else math.nan}


def is_said(prompt: Prompted, name: str, side: Side | None, anatomy: Anatomy) -> bool | None:
    """Whether it is true of the prompt's study; None where nobody knows, or it is too small."""
    listed = prompt.facts["findings"]
    assert isinstance(listed, list)
    told = [one for one in listed if one["name"] == name]
    here = [one for one in told if one["presence"] == "present"]
    if not told or not all(map(anatomy.is_clear, here)):
        return None
    sides = ("both", None if side is None else str(side))
    return any(one.get("side") in sides for one in here)


def _fidelity(sets: Sets, method: str) -> dict[str, float]:
    """How far the middle planes of CTs are from those of held-out studies."""
    of = getattr(sets, {OURS: "ours", NEAREST: "nearest", FLOOR: "floor"}[method])
    found = {"n": float(len(of.hu))}
    for axis, plane in enumerate(PLANES):
        one, other = (_features(scans, axis) for scans in (of, sets.real))
        found |= distance_in(one, other, plane)
    return found


@torch.no_grad()
def _features(scans: Scans, axis: int) -> Float[np.ndarray, "scans width"]:
    """Random features of the middle planes across an axis."""
    planes = scans.hu.take(scans.hu.shape[1 + axis] // 2, axis=1 + axis)
    rows = torch.from_numpy(HOUNSFIELD.normalise(planes))[:, None].float()
    return random_features(rows).double().numpy()
