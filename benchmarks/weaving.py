"""How well concepts are woven: into radiographs in which nothing is wrong, beside plainer ways.

Concepts are learned of simulated chests that the flow was trained on, go where other chests have
such a finding, and into a third set of chests, in which there is none.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from monai.metrics.regression import SSIMMetric

from benchmarks.generation import flows_at
from benchmarks.judge import CLAIMS, load_judge
from benchmarks.machine import commit, today
from benchmarks.report_baseline import NORMALS
from benchmarks.rows import Row, Store
from benchmarks.train_flows import MORE, REFERENCE
from medgen.concepts.fusion import Fusion
from medgen.concepts.template import Template
from medgen.concepts.weaving import Loom, Pattern
from medgen.data.feather import feathered
from medgen.data.intensity import Window
from medgen.data.manifest import read_manifest
from medgen.diffusion.guidance import guide
from medgen.diffusion.noise import noise_for
from medgen.diffusion.sampler import Step, sample_ddim
from medgen.diffusion.schedule import Stops
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality
from medgen.shapes import Latent, Time
from medgen.tasks.batch import MANIFEST
from medgen.tasks.flows.flow import GUIDANCE
from medgen.tasks.given import Given
from medgen.tasks.weave import Part, Walk, WeaveConfig, weave
from medgen.tasks.weaving.bank import gradient, look_of, noise_ratio, seam_ratio
from medgen.tasks.weaving.concept_file import LoadedConcept
from medgen.tasks.weaving.examples import read_examples
from medgen.tasks.weaving.files import read_scan
from medgen.tasks.weaving.frame import frame_of
from medgen.tasks.weaving.learn import Example, LearnConfig, Learned, learn
from medgen.tasks.weaving.loom import Workshop, workshop

T = TypeVar("T")
PART = "weaving"
CONCEPTS = ("consolidation", "pleural_effusion", "nodule", "device")
FEATURES, ESTIMATES, INSTANT = "features", "estimates", "instant"
PLAIN = "features, not matched"
NOISE, INPAINTING, PASTE = "noise mixing", "inpainting", "copy and paste"
LEARNED = (FEATURES, PLAIN, ESTIMATES, INSTANT, NOISE)
METHODS = (FEATURES, PLAIN, ESTIMATES, INSTANT, NOISE, INPAINTING, PASTE)
EXAMPLES, INSTANT_EXAMPLES, SCANS = 12, 5, 8
WITHIN = 1.0  # spreads of the examples
SURE = 0.5  # of the judge: more is yes


def mix_noise(loom: Loom, pattern: Pattern, template: Template, stops: Stops) -> Iterator[Step]:
    """Each concept's prediction in its own region: what Concept Weaver's authors found seamy.

    Source: the baseline of Kwon et al. 2024, section 3.4 (arXiv:2404.03913).
    """
    everywhere = torch.ones_like(pattern.where[None, :1])

    def denoise(latent: Latent, time: Time) -> Latent:
        plain = loom.clean(latent, time, pattern.source)
        mixed = pattern.shares[-1] * plain
        for share, concept in zip(pattern.where, pattern.concepts, strict=True):
            with Fusion([concept], [concept.context], everywhere, patch=loom.patch).attached(
                loom.network
            ):
                told = loom.clean(latent, time, concept.context)
            mixed = mixed + share * guide(plain, told, pattern.guidance)
        return mixed

    yield from sample_ddim(denoise, loom.process, template.noise, stops)


def inpaint(loom: Loom, pattern: Pattern, template: Template, stops: Stops) -> Iterator[Step]:
    """The regions from fresh noise, told the concepts' class, in what is known around them.

    Source: Lugmayr et al. 2022 (arXiv:2201.09865), without going back and forth.
    """
    noise = noise_for(0, [0], template.clean.shape[1:])
    known = pattern.shares[-1]

    def denoise(latent: Latent, time: Time) -> Latent:
        noisy = loom.process.at(time).over(latent)(template.clean, noise)
        latent = known * noisy + (1 - known) * latent
        mixed = known * template.clean
        plain = loom.clean(latent, time, pattern.source)
        for share, concept in zip(pattern.where, pattern.concepts, strict=True):
            told = loom.clean(latent, time, concept.said)
            mixed = mixed + share * guide(plain, told, pattern.guidance)
        return mixed

    yield from sample_ddim(denoise, loom.process, noise, stops)


@dataclass(frozen=True)
class Way:
    """One way to put a concept into a scan.

    Attributes:
        walk: How; None for the one that the config names.
        config: With what.
    """

    walk: Walk | None
    config: WeaveConfig


def ways(config: WeaveConfig) -> dict[str, Way]:
    """All of them but copy and paste, which needs no model."""
    push = replace(config, guidance=GUIDANCE)  # as `medgen generate` does
    return {
        FEATURES: Way(None, config),
        PLAIN: Way(None, replace(config, match=1.0)),
        ESTIMATES: Way(None, replace(config, fusion="estimate")),
        INSTANT: Way(None, replace(push, fusion="estimate")),
        NOISE: Way(mix_noise, replace(config, guidance=1.0)),
        INPAINTING: Way(inpaint, push),
    }


def weavings(model: str, studies: Path, store: Store) -> Iterator[Row]:
    """Measure every concept by every method; nothing where there is no flow or no study."""
    card = flows_at(model)
    needed = [studies / MORE, studies / REFERENCE, studies / NORMALS / MANIFEST]
    if card is None or not all(map(Path.is_file, needed)):
        return
    key = card.parts["flow-xray"].sha256[:8]
    bench = Bench(model, studies)
    for name in CONCEPTS:
        for method in METHODS:
            make = partial(bench.row, name, method)
            row = store.row(store.path(PART, method, key, name), make)
            if row is not None:
                yield row


class Bench:
    """Concepts are learned once, and scans read once, when somebody asks for them."""

    def __init__(self, model: str, studies: Path) -> None:
        self.config = WeaveConfig(model=model, device="cpu", force=True)
        self.studies = studies
        self.concepts: dict[tuple[str, bool], tuple[LoadedConcept, float]] = {}

    @property
    def shop(self) -> Workshop:
        """The model."""
        return workshop(self.config.model, Kind(Modality.XRAY), "cpu")

    def row(self, name: str, method: str) -> Row:
        """Measure one concept by one method."""
        placed = self._placed(name)
        scores = [self._one(name, method, *one) for one in placed]
        found = {key: statistics.fmean(one[key] for one in scores) for key in scores[0]}
        if method in LEARNED:
            found["learn"] = self._concept(name, method == INSTANT)[1]
        found["n"] = float(len(scores))
        return Row(PART, name, "", "xray", method, found, found["seconds"], commit(), today())

    def _concept(self, name: str, is_instant: bool) -> tuple[LoadedConcept, float]:
        if (name, is_instant) not in self.concepts:
            count = INSTANT_EXAMPLES if is_instant else EXAMPLES
            examples = read_examples([str(self.studies / MORE)], [], name, most=count).examples
            config = LearnConfig(
                name=name, model=self.config.model, device="cpu", instant=is_instant
            )
            made, seconds = _timed(partial(learned, examples, config))
            loaded = LoadedConcept(made.concept.eval(), made.card, "")
            self.concepts[name, is_instant] = loaded, seconds
        return self.concepts[name, is_instant]

    def _placed(self, name: str) -> list[tuple[Path, Example]]:
        """Scans without a finding, each with an image that has it."""
        donors = read_examples([str(self.studies / REFERENCE)], [], name, most=SCANS).examples
        normals = read_manifest(self.studies / NORMALS / MANIFEST)
        scans = [study.of(Modality.XRAY)[0] for study in normals if study.of(Modality.XRAY)]
        return list(zip(scans, donors, strict=False))

    def _one(self, name: str, method: str, scan: Path, donor: Example) -> dict[str, float]:
        image = read_scan(Given(scan))
        region = resized(donor.region.astype(np.float32), image.voxels.shape) > 0.5
        is_instant = method == INSTANT
        part = Part(self._concept(name, is_instant)[0], region)
        window = frame_of(image, Modality.XRAY, self.shop.loaded).window
        weight = feathered(region, self.config.feather, (1.0, 1.0))
        if method == PASTE:
            feather = self.config.feather
            other = frame_of(donor.image, Modality.XRAY, self.shop.loaded).window
            seen = resized(other.normalise(donor.image.voxels), image.voxels.shape)
            voxels, seconds = pasted(image, seen, region, feather, self.shop).voxels, 0.0
        else:
            way = ways(self.config)[method]
            run = partial(weave, image, [part], way.config, self.shop, walk=way.walk)
            woven, seconds = _timed(run)
            voxels = woven.image.voxels
        bank = self._concept(name, False)[0].card.bank
        distance = bank.distance(look_of(window.normalise(voxels), region))
        side = "left" if np.argwhere(region)[:, 1].mean() > region.shape[1] / 2 else "right"
        after = load_judge().read([replace(image, voxels=voxels)])[0]
        outside = weight == 0
        return {
            "contrast": abs(distance["contrast"]),
            "mean": abs(distance["mean"]),
            "within": float(abs(distance["contrast"]) <= WITHIN),
            "seam": seam_ratio(voxels, region),
            "judged": float(after[CLAIMS.index((name, side))] > SURE),
            "outside": float(np.abs(voxels[outside].astype(float) - image.voxels[outside]).max()),
            "edges": edges_kept(image.voxels, voxels, window),
            "grain": noise_ratio(voxels, region),
            "seconds": seconds,
        }


def pasted(
    image: MedicalImage, seen: np.ndarray, region: np.ndarray, feather: float, shop: Workshop
) -> MedicalImage:
    """A radiograph with a region of another one, in its own grey levels, its edge faded.

    Args:
        image: The radiograph.
        seen: The other one in its own window, -1 to 1, on the radiograph's pixels.
        region: What is taken of it.
        feather: Width of the edge, pixels.
        shop: Knows the radiograph's window.
    """
    own = frame_of(image, Modality.XRAY, shop.loaded).window.denormalise(seen)
    voxels = image.voxels + feathered(region, feather, (1.0, 1.0)) * (own - image.voxels)
    return replace(image, voxels=np.rint(voxels).astype(image.voxels.dtype))


def resized(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A picture on other pixels."""
    rows, columns = shape
    picture = torch.from_numpy(values.astype(np.float32))[None, None]
    found: np.ndarray = F.interpolate(picture, (rows, columns), mode="bilinear")[0, 0].numpy()
    return found


def edges_kept(before: np.ndarray, after: np.ndarray, window: Window) -> float:
    """SSIM of the gradients of two pictures."""
    steep = [
        torch.from_numpy(gradient(window.normalise(each)))[None, None] for each in (after, before)
    ]
    return float(SSIMMetric(spatial_dims=2, data_range=1.0)(*steep))


def learned(examples: Sequence[Example], config: LearnConfig) -> Learned:
    """The concept, when it is."""
    return next(one for one in learn(examples, config) if isinstance(one, Learned))


def _timed(make: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    made = make()
    return made, time.perf_counter() - started
