"""Does a flow do with references what the instruction says? Roles that are swapped must swap."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from benchmarks.generation import flows_at
from benchmarks.generation_speed import PROMPT
from benchmarks.machine import commit, today
from benchmarks.radiograph_sets import WHITE, Pictures, Prompted, prompts_of, real_pictures
from benchmarks.rows import Row, Store
from benchmarks.train_flows import REFERENCE
from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.diffusion.noise import generator_for
from medgen.instruct.appearance import APPEARANCES
from medgen.instruct.instruction import Role
from medgen.instruct.outline import drawn_edges
from medgen.io.detector import flat_detector
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality
from medgen.tasks.codecs.model import load_codec
from medgen.tasks.generate import generate, understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.instructing.model import reader_part
from medgen.tasks.instructing.references import Pointed

PART = "instruct"
OURS = "references"
Picture = Float[np.ndarray, "side side"]
PAIRS = 24  # of held-out radiographs; each is look and anatomy once
LOOKS = ("dark", "bright", "hard", "flat", "coarse")  # given to the pairs in turn
SMALL = 64  # pixels of a side, in which edges are compared
QUANTILES = 64
REPEATS = 5


@dataclass(frozen=True)
class Bench:
    """What is measured, and on what.

    Attributes:
        model: By name or folder.
        studies: Where the manifest of held-out radiographs is.
        pairs: How many.
    """

    model: str
    studies: Path
    pairs: int = PAIRS

    @property
    def config(self) -> GenerateConfig:
        """How radiographs are made: the command's defaults."""
        return GenerateConfig(model=self.model, device="cpu", unconditional=True)

    @cached_property
    def shown(self) -> list[Study]:
        """Chests that nothing was trained on; two of them are a pair."""
        return list(read_manifest(self.studies / REFERENCE)[: 2 * self.pairs])

    @cached_property
    def reports(self) -> list[Prompted]:
        """What is said of them."""
        return prompts_of(self.shown)

    @cached_property
    def pictures(self) -> Pictures:
        """Their radiographs, each in a look of its own."""
        frame = load_codec(self.model, Modality.XRAY, torch.device("cpu")).frame
        plain = real_pictures(self.shown, frame, self.studies / "views")
        changed = [
            APPEARANCES[LOOKS[at % len(LOOKS)]](torch.from_numpy(one)[None], generator_for(0, at))
            for at, one in enumerate(plain)
        ]
        return torch.cat(changed).numpy()

    def made(
        self, shown: Mapping[Role, Picture], seed: int, text: str = "", **more: object
    ) -> Picture:
        """One radiograph of a text, with what each role takes from its picture."""
        config = replace(self.config, seed=seed, **more)  # type: ignore[arg-type]
        references = [
            Pointed(at, role, "", as_radiograph(picture))
            for at, (role, picture) in enumerate(shown.items(), start=1)
        ]
        (sample,) = generate(understood(text, config), [], config, references=references)
        return 2 * sample.image.voxels.astype(np.float32) / WHITE - 1


def instructions(model: str, studies: Path, store: Store) -> Iterator[Row]:
    """A row of each figure; nothing where the model reads no references, or studies lack.

    Args:
        model: By name or folder.
        studies: Where `benchmarks.train_flows` has its studies.
        store: Keeps the rows.
    """
    card = flows_at(model)
    if card is None or reader_part(Modality.XRAY) not in card.parts:
        return
    if not (studies / REFERENCE).exists() and store.measures:
        return
    key = card.parts[reader_part(Modality.XRAY)].sha256[:8]
    bench = Bench(model, studies)
    makers: dict[str, Callable[[], dict[str, float]]] = {
        "binding": partial(binding, bench),
        "ignored": partial(ignored, bench),
        "cost": partial(cost, bench),
    }
    for subject, make in makers.items():
        row = Row(PART, subject, "references", "xray", OURS, {}, 0.0, commit(), today())
        if kept := store.scored(row, key, make):
            yield kept


def binding(bench: Bench) -> dict[str, float]:
    """How often the look is that of its reference and not of the other, and so the anatomy.

    Each pair is asked for in both ways from one seed. `swapped` counts the pairs in which all four
    answers are right; chance has one in sixteen. `patient` counts the subjects whose own edges a
    picture of them has, rather than those of the other.
    """
    looks, anatomies, swapped, patients = [], [], [], []
    for at in range(bench.pairs):
        one, other = bench.pictures[2 * at], bench.pictures[2 * at + 1]
        right = []
        for look, anatomy in ((one, other), (other, one)):
            made = bench.made({Role.LOOK: look, Role.ANATOMY: anatomy}, at)
            right.append(look_distance(made, look) < look_distance(made, anatomy))
            right.append(alike(made, anatomy) > alike(made, look))
            made = bench.made({Role.SUBJECT: look}, at)
            patients.append(alike(made, look) > alike(made, anatomy))
        looks += right[::2]
        anatomies += right[1::2]
        swapped.append(all(right))
    shares = {"look": looks, "anatomy": anatomies, "swapped": swapped, "patient": patients}
    return {name: float(np.mean(of)) for name, of in shares.items()} | {"n": float(bench.pairs)}


def ignored(bench: Bench) -> dict[str, float]:
    """The largest difference, grey levels of 4095, of references that are ignored and none."""
    config = replace(bench.config, seed=1)
    (plain,) = generate(understood("", config), [], config)
    one, other = bench.pictures[:2]
    made = bench.made({Role.LOOK: one, Role.ANATOMY: other}, 1, reference_guidance=0.0)
    wanted = 2 * plain.image.voxels.astype(np.float32) / WHITE - 1
    return {"difference": float(np.abs(made - wanted).max()) * WHITE / 2}


def cost(bench: Bench) -> dict[str, float]:
    """Time of a prompt's sampling with a reference over that without; in turns, the median."""
    ratios, prompt = [], understood(PROMPT, bench.config)
    (picture,) = bench.pictures[:1]
    reference = Pointed(1, Role.SUBJECT, "", as_radiograph(picture))
    for turn in range(REPEATS + 1):
        seconds = []
        for references in ([], [reference]):
            started = time.perf_counter()
            list(generate(prompt, [], bench.config, references=references))
            seconds.append(time.perf_counter() - started)
        if turn:  # the first one warms up
            ratios.append(seconds[1] / seconds[0])
    return {"ratio": median(ratios)}


def as_radiograph(picture: Picture) -> MedicalImage:
    """A picture in [-1, 1] as a file has it."""
    grey = ((picture + 1) / 2 * WHITE).clip(0, WHITE).astype(np.uint16)
    return MedicalImage(grey, flat_detector(), Kind(Modality.XRAY), spacing_is_known=False)


def look_distance(one: Picture, other: Picture) -> float:
    """Mean distance of the grey levels' quantiles, what is black left out; and of the sharpness.

    Example:
        >>> ramp = np.linspace(-1, 1, 4096).reshape(64, 64)
        >>> round(look_distance(ramp, ramp.T), 6)
        0.0
    """
    levels, grain = [], []
    for picture in (one, other):
        inside = picture[picture > picture.min() + 0.05]
        levels.append(np.quantile(inside, np.linspace(0, 1, QUANTILES)))
        grain.append(np.log(np.abs(np.diff(picture, axis=0)).mean() + 1e-3))
    return float(np.abs(levels[0] - levels[1]).mean() + 0.1 * abs(grain[0] - grain[1]))


def alike(one: Picture, other: Picture) -> float:
    """Correlation of the edges of two pictures; blind to how they look.

    Example:
        >>> picture = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
        >>> round(alike(picture, 0.3 * picture + 0.1), 4)
        1.0
    """
    return float(np.corrcoef([_edges(picture) for picture in (one, other)])[0, 1])


def _edges(picture: Picture) -> Sequence[float]:
    small = F.interpolate(
        torch.from_numpy(picture).float()[None, None], (SMALL, SMALL), mode="area"
    )
    return list(drawn_edges(small[0]).flatten().tolist())
