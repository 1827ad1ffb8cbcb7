"""Whether generated CTs help where studies are few: a classifier trained with them and without.

`python -m benchmarks.run --only scarce`. Twenty training studies teach a small classifier what
reports say of their CTs. It learns as long from these alone; from these moved and lit a little each
time; from these and CTs generated of other training reports; and, as the most that could be gained,
from these and the studies of those reports themselves. All are asked about the held-out studies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from monai.networks.nets.classifier import Classifier
from torch import Tensor, nn

from benchmarks.brief_fit import fit_briefly
from benchmarks.cts import CHESTS, HEADS, Scans, Sets, is_said, key_at
from benchmarks.judge import auc
from benchmarks.machine import commit, today
from benchmarks.radiograph_sets import Prompted, prompts_of
from benchmarks.rows import Row, Store
from medgen.align.augment import AugmentConfig, augmented_with
from medgen.data.standard import CT_WINDOWS
from medgen.diffusion.noise import generator_for

PART = "scarce"
ALONE, BENT, MADE, MORE = "alone", "and augmented", "and generated", "and more studies"
ARMS = (ALONE, BENT, MADE, MORE)
MOVED = AugmentConfig(gamma=0, contrast=0, erase=0)
STILL = AugmentConfig(degrees=0, zoom=0, shift=0, gamma=0, contrast=0, blur=0, noise=0, erase=0)
RESAMPLES = 2000


@dataclass(frozen=True)
class ScarceConfig:
    """How much is measured."""

    few: int = 20  # studies, half of them with a finding
    made: int = 40  # reports, half of them with a finding
    side: int = 32  # voxels of what the classifier sees
    widths: tuple[int, ...] = (16, 32, 64)  # channels of its levels
    steps: int = 300
    batch: int = 16
    learning_rate: float = 2e-3
    seeds: int = 3  # classifiers of an arm; what they say is averaged


@dataclass(frozen=True)
class Lesson:
    """What a classifier learns from.

    Attributes:
        views: Windows as channels, -1 to 1.
        claims: 1 where it is true, 0 where it is not, NaN where nobody knows.
    """

    views: Float[Tensor, "studies windows side side side"]
    claims: Float[Tensor, "studies claims"]

    def __add__(self, other: "Lesson") -> "Lesson":
        """Both."""
        views = torch.cat([self.views, other.views])
        return Lesson(views, torch.cat([self.claims, other.claims]))


class Trial:
    """What classifiers of one anatomy learn from; made once, when somebody asks for it."""

    def __init__(self, sets: Sets, config: ScarceConfig) -> None:
        self.sets, self.config = sets, config
        self._answers: dict[str, Float[np.ndarray, "studies claims"]] = {}

    @cached_property
    def asked(self) -> Lesson:
        """The held-out studies."""
        return self._lesson(self.sets.real, self.sets.prompts)

    def answers(self, arm: str) -> Float[np.ndarray, "studies claims"]:
        """How likely each claim is to the classifiers of an arm."""
        if arm not in self._answers:
            moved = STILL if arm == ALONE else MOVED
            lesson = self._few
            if arm in (MADE, MORE):
                lesson = lesson + (self._generated if arm == MADE else self._more)
            seeds = range(self.config.seeds)
            networks = [trained(lesson, moved, self.config, seed) for seed in seeds]
            with torch.inference_mode():
                said = [network(self.asked.views).sigmoid().numpy() for network in networks]
            self._answers[arm] = np.mean(said, axis=0)
        return self._answers[arm]

    def scores(self, arm: str, claim: int) -> dict[str, float]:
        """How well an arm tells a claim, and how much better than that which is only augmented."""
        true = self.asked.claims[:, claim].numpy()
        known = ~np.isnan(true)
        mine, others = (self.answers(each)[known, claim] for each in (arm, BENT))
        low, high = gained(mine, others, true[known] == 1)
        score = auc(mine, true[known] == 1)
        return {
            "auc": score,
            "gain": score - auc(others, true[known] == 1),
            "gain low": low,
            "gain high": high,
            "n": float(known.sum()),
            "there": float(true[known].sum()),
        }

    @cached_property
    def _chosen(self) -> tuple[list[int], list[int]]:
        """Numbers of the few training studies, and of those whose reports are prompts."""
        prompts = prompts_of(self.sets.training_studies)
        is_ill = [any(said == 1 for said in self._claims(one)) for one in prompts]
        ill, well = (
            [at for at, each in enumerate(is_ill) if each is want] for want in (True, False)
        )
        few, made = self.config.few // 2, self.config.made // 2
        return ill[:few] + well[:few], ill[few : few + made] + well[few : few + made]

    @cached_property
    def _few(self) -> Lesson:
        return self._real(self._chosen[0])

    @cached_property
    def _more(self) -> Lesson:
        return self._real(self._chosen[1])

    @cached_property
    def _generated(self) -> Lesson:
        prompts = prompts_of([self.sets.training_studies[at] for at in self._chosen[1]])
        return self._lesson(self.sets.made([one.text for one in prompts], PART), prompts)

    def _real(self, numbers: Sequence[int]) -> Lesson:
        studies = [self.sets.training_studies[at] for at in numbers]
        return self._lesson(self.sets.seen(studies), prompts_of(studies))

    def _lesson(self, scans: Scans, prompts: Sequence[Prompted]) -> Lesson:
        side = self.config.side
        windows = np.stack([window.normalise(scans.hu) for window in CT_WINDOWS], axis=1)
        views = F.adaptive_avg_pool3d(torch.from_numpy(windows).float(), (side, side, side))
        return Lesson(views, torch.tensor([self._claims(one) for one in prompts]))

    def _claims(self, prompt: Prompted) -> list[float]:
        anatomy = self.sets.anatomy
        said = [is_said(prompt, name, side, anatomy) for name, side in anatomy.claims]
        return [float("nan") if one is None else float(one) for one in said]


def scarce(
    data: Path, model: str, studies: Path, store: Store, config: ScarceConfig | None = None
) -> Iterator[Row]:
    """How well each arm tells each claim; nothing where the model makes no CT."""
    config = config or ScarceConfig()
    for anatomy in (CHESTS, HEADS):
        key = key_at(model, anatomy)
        if key is None or not (studies / anatomy.training).exists():
            continue
        sets = Sets(anatomy, data, model, studies, store.folder / anatomy.part / key)
        trial = Trial(sets, config)
        for at, (name, side) in enumerate(anatomy.claims):
            claim = name if side is None else f"{name}-{side}"
            for arm in ARMS:
                path = store.path(PART, arm, key, claim)
                if found := store.row(path, partial(_row, trial, arm, claim, at)):
                    yield found


def _row(trial: Trial, arm: str, claim: str, at: int) -> Row:
    return Row(PART, claim, "text", "ct", arm, trial.scores(arm, at), 0.0, commit(), today())


def gained(
    mine: Float[np.ndarray, "studies"],
    others: Float[np.ndarray, "studies"],
    is_true: Bool[np.ndarray, "studies"],
) -> tuple[float, float]:
    """95 % bootstrap interval, over studies, of how much larger an area under the ROC curve is.

    Args:
        mine: What one classifier says of each study.
        others: What another says of the same.
        is_true: What is true.
    """
    draws = np.random.default_rng(0).integers(len(mine), size=(RESAMPLES, len(mine)))
    gains = [auc(mine[d], is_true[d]) - auc(others[d], is_true[d]) for d in draws]
    low, high = np.nanpercentile(gains, [2.5, 97.5])
    return float(low), float(high)


def trained(lesson: Lesson, moved: AugmentConfig, config: ScarceConfig, seed: int) -> nn.Module:
    """A classifier that has learned from a lesson, its views moved and lit each time."""
    torch.manual_seed(seed)
    count, windows, *space = lesson.views.shape
    network = Classifier(
        (windows, *space), lesson.claims.shape[1], config.widths, (2,) * len(config.widths)
    )

    def loss(step: int) -> Tensor:
        generator = generator_for(seed, step)
        chosen = torch.randint(count, (config.batch,), generator=generator)
        views = [augmented_with(lesson.views[at], None, generator, moved)[0] for at in chosen]
        claims = lesson.claims[chosen]
        known = ~claims.isnan()
        said = network(torch.stack(views))
        return F.binary_cross_entropy_with_logits(said[known], claims[known])

    fit_briefly(
        network,
        map(loss, range(config.steps)),
        steps=config.steps,
        learning_rate=config.learning_rate,
        weight_decay=0.05,
    )
    return network
