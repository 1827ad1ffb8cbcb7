"""Whether woven cases help: a segmenter trained with them and without, on chests held out.

`python -m benchmarks.run --only segmenting`. A finding has few cases with masks. A concept is
learned of them, and woven into chests in which nothing is wrong, where one of the few masks lies.
A segmenter learns as long from the few and the chests without a finding, from these and the woven
cases, and from these and as many in which one of the few was pasted at the same places.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.generation import flows_at
from benchmarks.machine import commit, today
from benchmarks.report_baseline import NORMALS
from benchmarks.rows import Row, Store
from benchmarks.segmenter import Case, SegmenterConfig, case_of, dice, trained
from benchmarks.train_flows import MORE, REFERENCE
from benchmarks.weaving import learned, pasted, resized
from medgen.align.augment import AugmentConfig, augmented_with
from medgen.data.manifest import read_manifest
from medgen.data.masks import mask_files
from medgen.data.study import Study
from medgen.diffusion.noise import generator_for
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality
from medgen.tasks.batch import MANIFEST
from medgen.tasks.given import Given
from medgen.tasks.weave import Part, WeaveConfig, weave
from medgen.tasks.weaving.concept_file import LoadedConcept
from medgen.tasks.weaving.examples import read_examples
from medgen.tasks.weaving.files import read_scan
from medgen.tasks.weaving.frame import frame_of
from medgen.tasks.weaving.learn import Example, LearnConfig
from medgen.tasks.weaving.loom import Workshop, workshop
from medgen.tasks.weaving.regions import Place, region_of

PART = "segmenting"
FINDING = "consolidation"
FEW, WOVEN, PASTED = "the few", "and woven", "and pasted"
ARMS = (FEW, WOVEN, PASTED)
XRAY = Kind(Modality.XRAY)
PLACED = AugmentConfig(
    degrees=8.0, zoom=0.2, shift=0.08, gamma=0, contrast=0, blur=0, noise=0, erase=0
)


@dataclass(frozen=True)
class SegmentingConfig:
    """How much is measured: under a quarter of an hour on two cores."""

    few: int = 8  # cases with masks, which concept and segmenters learn from
    normals: int = 48  # chests without a finding, which all segmenters learn from
    made: int = 48  # cases that are woven, and pasted
    held_out: int = 60  # cases of other chests, which all are measured on
    seeds: int = 3  # segmenters of an arm; their Dice is averaged
    learn: LearnConfig = field(default_factory=lambda: LearnConfig(name=FINDING, device="cpu"))
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)


def segmentings(
    model: str, studies: Path, store: Store, config: SegmentingConfig | None = None
) -> Iterator[Row]:
    """Measure every held-out case by every segmenter; nothing where there is no flow or study."""
    card = flows_at(model)
    needed = [studies / MORE, studies / REFERENCE, studies / NORMALS / MANIFEST]
    if card is None or not all(map(Path.is_file, needed)):
        return
    trial = Trial(model, studies, config or SegmentingConfig())
    key = card.parts["flow-xray"].sha256[:8]
    for arm in ARMS:
        for study in trial.held_out:
            make = partial(trial.row, arm, study)
            row = store.row(store.path(PART, arm, key, study.id), make)
            if row is not None:
                yield row


@dataclass(frozen=True)
class Spot:
    """Where one of the few goes.

    Attributes:
        image: A chest without the finding.
        seen: One of the few in its own window, -1 to 1, moved a little, on the chest's pixels.
        region: Where the finding is in it.
    """

    image: MedicalImage
    seen: np.ndarray
    region: np.ndarray


@dataclass(frozen=True)
class Segmenters:
    """Those of one arm.

    Attributes:
        networks: In eval mode.
        cases: How many each learned from.
        seconds: Of training, making the cases included.
    """

    networks: tuple[nn.Module, ...]
    cases: int
    seconds: float


class Trial:
    """What segmenters learn from and are measured on; made once, when somebody asks for it."""

    def __init__(self, model: str, studies: Path, config: SegmentingConfig) -> None:
        self.model, self.studies, self.config = model, studies, config
        self._segmenters: dict[str, Segmenters] = {}

    @cached_property
    def held_out(self) -> list[Study]:
        """Studies that have the finding, and that no segmenter learns from."""
        listed = read_manifest(self.studies / REFERENCE)
        return [study for study in listed if _mask_of(study)][: self.config.held_out]

    def row(self, arm: str, study: Study) -> Row:
        """Measure one held-out case by the segmenters of an arm."""
        segmenters = self._trained(arm)
        image = read_scan(Given(study.of(Modality.XRAY)[0], XRAY))
        region = region_of(Place(mask=_mask_of(study)), image)
        case = case_of(image.voxels, region, self.config.segmenter)
        scores = {
            "dice": statistics.mean(dice(network, case) for network in segmenters.networks),
            "cases": float(segmenters.cases),
        }
        return Row(PART, study.id, "", "xray", arm, scores, segmenters.seconds, commit(), today())

    def cases(self, arm: str) -> list[Case]:
        """What the segmenter of an arm learns from."""
        made = self._woven if arm == WOVEN else self._pasted if arm == PASTED else []
        nowhere = [Example(one, np.zeros(one.voxels.shape, bool)) for one in self._normals]
        return [
            case_of(one.image.voxels, one.region, self.config.segmenter)
            for one in (*self._few, *nowhere, *made)
        ]

    def _trained(self, arm: str) -> Segmenters:
        if arm not in self._segmenters:
            started = time.perf_counter()
            cases, config = self.cases(arm), self.config.segmenter
            seeds = range(config.seed, config.seed + self.config.seeds)
            networks = tuple(trained(cases, replace(config, seed=seed)) for seed in seeds)
            seconds = round(time.perf_counter() - started, 1)
            self._segmenters[arm] = Segmenters(networks, len(cases), seconds)
        return self._segmenters[arm]

    @cached_property
    def _few(self) -> list[Example]:
        listed = [str(self.studies / MORE)]
        return read_examples(listed, [], FINDING, most=self.config.few).examples

    @cached_property
    def _normals(self) -> list[MedicalImage]:
        listed = read_manifest(self.studies / NORMALS / MANIFEST)
        paths = [path for study in listed for path in study.of(Modality.XRAY)]
        return [read_scan(Given(path, XRAY)) for path in paths[: self.config.normals]]

    @cached_property
    def _spots(self) -> list[Spot]:
        """A chest without the finding, and one of the few, moved a little."""
        found = []
        for number in range(self.config.made):
            generator = generator_for(self.config.segmenter.seed, number)
            image = self._normals[number % len(self._normals)]
            donor = self._few[number % len(self._few)]
            window = frame_of(donor.image, Modality.XRAY, self._shop.loaded).window
            seen = resized(window.normalise(donor.image.voxels), image.voxels.shape)
            there = resized(donor.region, image.voxels.shape)
            one, other = (torch.from_numpy(each)[None] for each in (seen, there))
            picture, mask = augmented_with(one, other, generator, PLACED)
            region = (other if mask is None else mask)[0].numpy() > 0.5
            if region.any():
                found.append(Spot(image, picture[0].numpy(), region))
        return found

    @cached_property
    def _woven(self) -> list[Example]:
        made = learned(self._few, replace(self.config.learn, model=self.model))
        loaded = LoadedConcept(made.concept.eval(), made.card, "")
        config = WeaveConfig(model=self.model, device="cpu", force=True)
        return [
            Example(weave(at.image, [Part(loaded, at.region)], config, self._shop).image, at.region)
            for at in self._spots
        ]

    @cached_property
    def _pasted(self) -> list[Example]:
        feather = WeaveConfig().feather
        return [
            Example(pasted(at.image, at.seen, at.region, feather, self._shop), at.region)
            for at in self._spots
        ]

    @cached_property
    def _shop(self) -> Workshop:
        return workshop(self.model, XRAY, "cpu")


def _mask_of(study: Study) -> Path | None:
    if study.masks is None or not study.of(Modality.XRAY):
        return None
    return mask_files(study.masks, axes=2).get(FINDING)
