"""How good generated radiographs are: what they show, how real they look, whether they are copies.

The prompts are the reports of held-out chests; the real radiographs to compare with are chests that
no flow was trained on (`flow-reference.jsonl`). The judge was fixed before the flows were trained.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from monai.metrics.regression import MultiScaleSSIMMetric

from benchmarks import heldout_studies
from benchmarks.cards import card_at
from benchmarks.generation_codecs import coded, radiograph_scores, report_scores, volume_scores
from benchmarks.generation_speed import generation_speeds
from benchmarks.judge import CLAIMS, Judge, claims_of, load_judge, pixels_of, verdicts
from benchmarks.machine import commit, today
from benchmarks.radiograph_sets import (
    Pictures,
    Prompted,
    as_image,
    judged,
    made_pictures,
    prompts_of,
    real_pictures,
    stated,
)
from benchmarks.rows import Row, Store, key_of
from benchmarks.train_flows import MORE, REFERENCE, WORDS
from benchmarks.tutorial import tutorial_pictures
from medgen.checkpoint import Card
from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.metrics.copies import as_points, find_copies, wilson
from medgen.metrics.distribution import frechet_distance, halves_interval, kernel_distance
from medgen.metrics.random_features import random_features
from medgen.modality import Modality
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.codecs.images import framed
from medgen.tasks.codecs.model import codec_part, load_codec
from medgen.tasks.flows.conditions import told_texts
from medgen.tasks.flows.model import flow_part
from medgen.tasks.generating.config import SAMPLERS, GenerateConfig

PART = "generation"
TUTORIAL = "tutorial"  # folder of its runs
OURS, UNTOLD, NEAREST, REAL, FLOOR = "flow", "no text", "nearest report", "real", "floor"
CODED = "coded"  # the real ones, encoded and decoded: more no flow can show
CHOSEN, CANDIDATES = "best of 8", 8
MONAI = "monai"
SAMPLES = 5  # of each of the 100 prompts
STEPS = (2, 4, 8, 12, 25, 50)
STEPS_PROMPTS = 50
PAIRS = 200  # of pictures, for diversity
COPY_SIDE = 64  # pixels in which copies are looked for
KERNEL = 1000  # kernel distances are told in thousandths
SEED = 3


@dataclass(frozen=True)
class Sets:
    """All pictures that the figures are about, each made once.

    Attributes:
        data: The data folder.
        model: By name or folder.
        studies: Folder of the manifests.
        keep: Where generated pictures are kept.
    """

    data: Path
    model: str
    studies: Path
    keep: Path

    @property
    def config(self) -> GenerateConfig:
        """How radiographs are made: the command's defaults."""
        return GenerateConfig(
            model=self.model, number=SAMPLES, together=8, device="cpu", unconditional=True
        )

    @cached_property
    def held_out(self) -> list[Study]:
        """The chests whose reports are the prompts."""
        return heldout_studies.chests(self.data, self.studies / "heldout")

    @cached_property
    def held_out_pictures(self) -> Pictures:
        """Their radiographs."""
        return self.real(self.held_out)

    @cached_property
    def prompts(self) -> list[Prompted]:
        """What they say."""
        return prompts_of(self.held_out)

    @cached_property
    def reference(self) -> Pictures:
        """Real radiographs that nothing was trained on."""
        return self.real(read_manifest(self.studies / REFERENCE))

    @cached_property
    def training_studies(self) -> list[Study]:
        """What the flow was trained on."""
        return list(read_manifest(self.studies / MORE))

    @cached_property
    def training(self) -> Pictures:
        """Their radiographs."""
        return self.real(self.training_studies)

    def made(self, texts: Sequence[str], **changed: object) -> Pictures:
        """Radiographs of texts, `SAMPLES` of each."""
        return made_pictures(texts, replace(self.config, **changed), self.keep)  # type: ignore[arg-type]

    def ours(self) -> Pictures:
        """Of all prompts."""
        return self.made([one.text for one in self.prompts])

    def chosen(self) -> Pictures:
        """One of each prompt: of several, the one that shows it best."""
        return self.made([one.text for one in self.prompts], number=1, best_of=CANDIDATES)

    def untold(self) -> Pictures:
        """As many without a prompt."""
        return self.made([""], number=SAMPLES * len(self.prompts))

    def nearest(self) -> Pictures:
        """The training radiographs whose reports lie nearest to each prompt: what to beat."""
        known = prompts_of(self.training_studies)
        pictures: np.ndarray = self.training[
            nearest_reports(self.model, self.prompts, known, SAMPLES)
        ]
        return pictures

    def coded(self) -> Pictures:
        """The held-out radiographs as the codec writes them again."""
        return coded(self.model, self.held_out_pictures)

    def tutorial(self) -> Pictures:
        """As many of MONAI's pieces, as often as ours asking their network."""
        evaluations = 2 * self.config.steps
        return tutorial_pictures(self.studies / TUTORIAL, len(self.reference), evaluations)

    @cached_property
    def patients(self) -> Pictures:
        """Real radiographs of real patients."""
        frame = load_codec(self.model, Modality.XRAY, torch.device("cpu")).frame
        files = sorted((self.data / "cxr" / "images").iterdir())
        views = [framed(path, Modality.XRAY, frame, self.studies / "views") for path in files]
        return torch.cat(views).float().numpy()

    def real(self, studies: Sequence[Study]) -> Pictures:
        """The radiographs of studies, as the codec frames them."""
        frame = load_codec(self.model, Modality.XRAY, torch.device("cpu")).frame
        return real_pictures(studies, frame, self.studies / "views")


def generations(
    data: Path, model: str, studies: Path, store: Store, threads: int = 2
) -> Iterator[Row]:
    """A row of each method and kind of figure for which the model and the studies are there.

    Args:
        data: The data folder.
        model: By name or folder.
        studies: Where `benchmarks.train_flows` has its studies; `heldout` is written beside them.
        store: Keeps the rows and the pictures.
        threads: Of what is timed.
    """
    card = flows_at(model)
    if card is None:
        return
    names = (flow_part(Modality.XRAY), codec_part(Modality.XRAY), Modality.XRAY)
    flow, codec, encoder = (card.parts[name].sha256 for name in names)
    key, seen = key_of(flow, codec), key_of(flow, codec, encoder)
    sets = Sets(data, model, studies, store.folder / "generated" / key)
    facts, distances = partial(_facts, sets), partial(_distances, sets)
    judged_by_encoder = replace(sets, keep=store.folder / "generated" / seen)
    makers: dict[tuple[str, str], Callable[[], dict[str, float]]] = {
        ("codecs", OURS): partial(_codecs, sets),
        ("volumes", OURS): partial(volume_scores, model, data, store.folder),
        **{("facts", m): partial(facts, m) for m in (OURS, UNTOLD, NEAREST, CODED, REAL)},
        ("facts", CHOSEN): partial(_facts, judged_by_encoder, CHOSEN),
        **{("fidelity", m): partial(distances, m) for m in (OURS, NEAREST, FLOOR, MONAI)},
        ("copies", OURS): partial(_copies, sets),
        **{
            (f"steps {sampler} {steps}", OURS): partial(_of_steps, sets, sampler, steps)
            for sampler in SAMPLERS
            for steps in STEPS
        },
    }
    for (subject, method), make in makers.items():
        of = seen if subject == "fidelity" or method == CHOSEN else key
        path = store.path(PART, method, of, subject.replace(" ", "-"))
        can_make = all((studies / each).exists() for each in _needs(subject, method))
        row = partial(_row, subject, method, make)
        if found := store.row(path, row) if can_make else store.read(path):
            yield found
    yield from generation_speeds(model, key, threads, store)


def _needs(subject: str, method: str) -> Iterator[str]:
    """What a figure needs in the folder of studies, besides the held-out ones."""
    if subject not in ("facts", "volumes"):
        yield REFERENCE
    if method in (NEAREST, FLOOR) or subject == "copies":
        yield MORE
    if subject == "codecs":
        yield WORDS
    if method == MONAI:
        yield f"{TUTORIAL}/flow"


def flows_at(model: str) -> Card | None:
    """The card of a model that makes radiographs; None if there is none: nothing is measured."""
    return card_at(model, flow_part(Modality.XRAY))


def _row(subject: str, method: str, make: Callable[[], dict[str, float]]) -> Row:
    return Row(PART, subject, "text", "xray", method, make(), 0.0, commit(), today())


def _codecs(sets: Sets) -> dict[str, float]:
    """What is left of radiographs and of reports that no codec has seen."""
    found = radiograph_scores(sets.model, sets.reference)
    return found | report_scores(sets.model, sets.studies)


def _facts(sets: Sets, method: str) -> dict[str, float]:
    """The share of stated findings that the judge sees on the stated side, also by size."""
    judge = load_judge()
    trusted = _trusted(judge, sets)
    of = {
        OURS: sets.ours,
        CHOSEN: sets.chosen,
        UNTOLD: sets.untold,
        NEAREST: sets.nearest,
        CODED: sets.coded,
        REAL: lambda: sets.held_out_pictures,
    }[method]
    pictures = of()
    repeats = len(pictures) // len(sets.prompts)
    seen = judged(judge, pictures) > 0.5
    hits: Mapping[str, list[bool]] = defaultdict(list)
    for at, prompt in enumerate(p for p in sets.prompts for _ in range(repeats)):
        for claim, size in stated(prompt):
            if claim in trusted:
                is_seen = bool(seen[at, CLAIMS.index(claim)])
                for name in ("all", size, claim[0]):
                    hits[name].append(is_seen)
        absent = [
            c
            for c, is_there in zip(CLAIMS, claims_of(prompt.facts), strict=True)
            if not is_there and c in trusted
        ]
        hits["absent"].extend(bool(seen[at, CLAIMS.index(claim)]) for claim in absent)
    return shares_of(hits) | {"trusted": float(len(trusted))}


def shares_of(hits: Mapping[str, Sequence[bool]]) -> dict[str, float]:
    """The share of hits in each group, with Wilson's interval and the group's size."""
    found: dict[str, float] = {}
    for name, each in hits.items():
        low, high = wilson(sum(each), len(each))
        found |= {name: float(np.mean(each)), f"{name} low": low, f"{name} high": high}
        found[f"{name} n"] = float(len(each))
    return found


def _trusted(judge: Judge, sets: Sets) -> set[tuple[str, str | None]]:
    """The claims that the judge reads well on the held-out radiographs themselves."""
    pixels = pixels_of([as_image(picture) for picture in sets.held_out_pictures])
    truths = np.stack([claims_of(prompt.facts) for prompt in sets.prompts])
    return {one.claim for one in verdicts(judge, pixels, truths) if one.is_sure}


def _distances(sets: Sets, method: str) -> dict[str, float]:
    """How far a set of radiographs is from real ones, and how much its pictures differ."""
    n = min(SAMPLES * len(sets.prompts), len(sets.reference))
    draw = np.random.default_rng(SEED)
    if method == FLOOR:
        pictures = sets.training[draw.permutation(len(sets.training))[:n]]
    else:
        of = {OURS: sets.ours, NEAREST: sets.nearest, MONAI: sets.tutorial}[method]
        pictures = _spread(of(), n)
    found = {"n": float(n), "ms-ssim": _diversity(pictures)}
    loaded = load_aligner(sets.model, torch.device("cpu"))
    spaces = {"random": in_random_space, "aligned": partial(_aligned, loaded)}
    for space, features in spaces.items():
        one = features(pictures)
        found |= distance_in(one, features(sets.reference[:n]), space)
        found |= distance_in(one, features(sets.patients), f"{space}, patients")
    return found | {"n patients": float(len(sets.patients))}


def _spread(pictures: Pictures, n: int) -> Pictures:
    """So many of them, from the first to the last: of every prompt, not of the first few."""
    chosen: Pictures = pictures[np.linspace(0, len(pictures) - 1, n).round().astype(int)]
    return chosen


def distance_in(one: np.ndarray, other: np.ndarray, space: str) -> dict[str, float]:
    """How far two sets of features of a space are from each other."""
    low, high = halves_interval(kernel_distance, one, other)
    return {
        f"frechet {space}": frechet_distance(one, other),
        f"kernel {space}": KERNEL * kernel_distance(one, other),
        f"kernel {space} low": KERNEL * low,
        f"kernel {space} high": KERNEL * high,
    }


def _of_steps(sets: Sets, sampler: str, steps: int) -> dict[str, float]:
    """The distance from real radiographs after so many steps of a sampler."""
    texts = [one.text for one in sets.prompts[:STEPS_PROMPTS]]
    pictures = sets.made(texts, number=1, steps=steps, sampler=sampler)
    n = min(len(pictures), len(sets.reference))
    found = distance_in(
        in_random_space(pictures[:n]), in_random_space(sets.reference[:n]), "random"
    )
    return found | {"n": float(n), "steps": float(steps)}


def _copies(sets: Sets) -> dict[str, float]:
    """How many generated radiographs lie nearer to a training image than real ones do."""
    made, training, held_out = (
        as_points(_small(each)) for each in (sets.ours(), sets.training, sets.reference)
    )
    found = find_copies(made, training, held_out)
    return {
        "share": found.share,
        "low": found.low,
        "high": found.high,
        "expected": found.expected,
        "n": float(len(made)),
        "copying": float(found.is_copying),
    }


def _small(pictures: Pictures) -> Float[np.ndarray, "images rows columns"]:
    rows = torch.from_numpy(pictures)[:, None]
    small: np.ndarray = F.interpolate(rows, (COPY_SIDE, COPY_SIDE), mode="area")[:, 0].numpy()
    return small


def _diversity(pictures: Pictures) -> float:
    """Mean MS-SSIM of random pairs: 1 if all are the same."""
    draw = np.random.default_rng(SEED)
    pairs = np.array([draw.choice(len(pictures), 2, replace=False) for _ in range(PAIRS)])
    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0)
    rows = torch.from_numpy((pictures + 1) / 2)[:, None]
    return float(metric(rows[pairs[:, 0]], rows[pairs[:, 1]]).mean())


@torch.no_grad()
def in_random_space(pictures: Pictures) -> Float[np.ndarray, "images width"]:
    """Random features of pictures."""
    rows = torch.from_numpy(pictures)[:, None].split(16)
    return torch.cat([random_features(each) for each in rows]).double().numpy()


def nearest_reports(
    model: str, asked: Sequence[Prompted], known: Sequence[Prompted], count: int
) -> list[int]:
    """Of each that is asked for, the numbers of so many known ones whose reports lie nearest."""
    loaded = load_aligner(model, torch.device("cpu"))
    one, other = (embeddings(loaded, [each.text for each in some]) for some in (asked, known))
    numbers: list[int] = (one @ other.T).topk(count, dim=1).indices.flatten().tolist()
    return numbers


@torch.no_grad()
def _aligned(loaded: LoadedAligner, pictures: Pictures) -> Float[np.ndarray, "images width"]:
    side = loaded.standard.side
    rows = F.interpolate(
        torch.from_numpy(pictures)[:, None], (side, side), mode="bilinear", antialias=True
    )
    encoder = loaded.aligner.image_encoder(Modality.XRAY)
    return torch.cat([encoder(each).embedding for each in rows.split(16)]).double().numpy()


def embeddings(loaded: LoadedAligner, texts: Sequence[str]) -> Float[torch.Tensor, "texts width"]:
    """Texts in the space that all encoders share."""
    told = told_texts(loaded.aligner.text_encoder, loaded.tokenizer, texts)
    return torch.cat([one.embedding for one in told])
