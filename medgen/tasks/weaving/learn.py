"""Learn a concept: a few images and where it is in them, in; one small file out."""

import logging
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.align.augment import AugmentConfig, augmented_with
from medgen.concepts.concept import Concept, Said, concept_for
from medgen.concepts.learning import Batch, Lesson, lesson_loss
from medgen.concepts.weaving import Loom
from medgen.diffusion.guidance import Guidance, guided
from medgen.diffusion.loss import logit_normal_times
from medgen.diffusion.noise import generator_for, noise_for
from medgen.diffusion.sampler import last, sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.errors import UsageError
from medgen.io.image import MedicalImage
from medgen.modality import Kind
from medgen.shapes import Latent
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import Progress, fit
from medgen.tasks.fitting.snapshots import averaged_weights
from medgen.tasks.flows.conditions import told_image
from medgen.tasks.flows.items import LOGIT
from medgen.tasks.weaving.bank import Bank, Region, bank_of, look_of
from medgen.tasks.weaving.concept_card import ConceptCard, check_name
from medgen.tasks.weaving.concept_file import base_of
from medgen.tasks.weaving.frame import frame_of
from medgen.tasks.weaving.loom import Workshop, workshop

LOG = logging.getLogger(__name__)
MOVED = AugmentConfig(
    degrees=5.0, zoom=0.1, shift=0.05, gamma=0, contrast=0, blur=0, noise=0, erase=0
)
LEAST = 3  # examples from which a concept is more than one of them
MOST_INSTANT = 5


@dataclass(frozen=True)
class LearnConfig:
    """What `medgen weave learn` is asked to do."""

    name: str = ""  # of the concept
    says: str = ""  # its class in words that the flow knows; its name if not given
    instant: bool = False  # make it of the encoders' tokens, without training
    steps: int = 400  # of training
    batch: int = 4  # examples a step of each way in which they are told, and class images
    learning_rate: float = 1e-3
    prior: float = 1.0  # how much the class counts beside the concept; 0 for nothing
    prior_images: int = 8  # of the class that are generated, where none are given
    views: int = 6  # of each example, moved a little; never mirrored
    licence: str = ""  # of the examples
    data: str = ""  # what they are
    model: str = "flows"  # a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if not self.name.strip():
            raise UsageError("a concept needs a name: --name nodule")
        check_name(self.name)
        for name in ("steps", "batch", "prior_images", "views"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; choose 1 or more")
        if self.prior < 0:
            raise UsageError(f"prior is {self.prior:g}; choose 0 or more")

    @property
    def words(self) -> str:
        """What the flow is told of the class."""
        return self.says or f"{self.name.replace('_', ' ').strip().capitalize()}."


@dataclass(frozen=True)
class Example:
    """An image and where the concept is in it.

    Attributes:
        image: With its kind.
        region: On its voxels; not empty.
    """

    image: MedicalImage
    region: Region


@dataclass(frozen=True)
class Learned:
    """A concept that was made."""

    concept: Concept
    card: ConceptCard


def learn(
    examples: Sequence[Example], config: LearnConfig, *, priors: Sequence[MedicalImage] = ()
) -> Iterator[Progress | Learned]:
    """Make a concept of a few examples.

    Args:
        examples: All of one kind.
        config: How.
        priors: Images of the class; some are generated where there are none.

    Yields:
        Progress after every step, and last what was made; that alone for an instant one.

    Raises:
        UsageError: If there is no example, or too many for an instant one, or they are of several
            kinds.
        ModelError: If the model has no flow of their modality, or, for an instant concept, no
            encoder of it.

    Source: Kumari et al. 2023, section 3.2 (arXiv:2212.04488). The instant concept is ours: what
    the encoders say of the examples in the space that all share, told as a prompt is.
    """
    kind = _kind_of(examples)
    if priors and (config.instant or not config.prior):
        raise UsageError("--prior-image: an instant concept, and prior=0, use none; leave it out")
    if odd := [one for one in priors if one.kind != kind]:
        raise UsageError(f"--prior-image: is {odd[0].kind}, and the examples are {kind}")
    shop = _of_one_spacing(workshop(config.model, kind, config.device), examples)
    if config.instant:
        yield _instant(examples, config, shop)
        return
    if len(examples) < LEAST:
        LOG.warning(
            "%d example%s: the concept will be what is seen there; give %d or more",
            len(examples),
            "s" if len(examples) > 1 else "",
            LEAST,
        )
    yield from _trained(examples, config, shop, priors)


def _kind_of(examples: Sequence[Example]) -> Kind:
    kinds = {one.image.kind for one in examples}
    if len(kinds) != 1 or None in kinds:
        told = ", ".join(sorted(map(str, kinds))) or "none"
        raise UsageError(f"examples: of one kind each concept, not {told}; sort them")
    (kind,) = kinds
    assert kind is not None  # checked above, with the others
    return kind


def _of_one_spacing(shop: Workshop, examples: Sequence[Example]) -> Workshop:
    """The workshop as it sees all volumes at the spacing that the largest of the examples needs.

    The flow is told of one spacing, and a scan that a concept goes into is compared with one.
    """
    frames = [frame_of(one.image, shop.kind.modality, shop.loaded) for one in examples]
    spacings = {frame.spacing for frame in frames if frame.spacing is not None}
    if len(spacings) < 2:
        return shop
    LOG.warning("the largest of the examples needs %g mm; all are seen so", max(spacings))
    return replace(shop, loaded=replace(shop.loaded, spacings=(max(spacings),)))


def _instant(examples: Sequence[Example], config: LearnConfig, shop: Workshop) -> Learned:
    if len(examples) > MOST_INSTANT:
        raise UsageError(f"--instant: takes 1 to {MOST_INSTANT} examples, not {len(examples)}")
    seen = tuple(
        told_image(
            one.image, shop.loaded.encoders, shop.loaded.device, weight=1 / len(examples)
        ).shared
        for one in examples
    )
    views = [_view(one, shop) for one in examples]
    said = shop.said(config.words, views[0].spacing, seen)
    concept = concept_for(shop.loom.network, said)
    return Learned(concept.cpu(), _card(examples, views, config, shop, steps=0))


def _trained(
    examples: Sequence[Example],
    config: LearnConfig,
    shop: Workshop,
    priors: Sequence[MedicalImage],
) -> Iterator[Progress | Learned]:
    views = [_view(one, shop) for one in examples]
    spacing = views[0].spacing
    plain, said = shop.said("", spacing), shop.said(config.words, spacing)
    concept = concept_for(shop.loom.network, said)
    with flushed_denormals():
        pool = _pool(views, config, shop)
        of_class = _class_latents(priors, said, plain, config, shop)
    lessons = _Lessons(shop.loom, pool, of_class, plain, config)
    fitting = FitConfig(
        steps=config.steps,
        batch=1,  # a lesson, which is several latents
        learning_rate=config.learning_rate,
        warmup=min(20, config.steps // 10),
        ema_decay=0.98,
        seed=config.seed,
        device=config.device,
        save_every_seconds=1e9,
    )
    with tempfile.TemporaryDirectory(prefix="medgen-concept-") as folder:
        run = Path(folder) / "run"
        yield from fit(concept, lessons.numbered, lessons.loss, fitting, run)
        _, state = averaged_weights(run)
    concept.load_state_dict(state)
    yield Learned(concept.cpu(), _card(examples, views, config, shop, steps=config.steps))


@dataclass(frozen=True)
class _View:
    """An example as the flow sees it."""

    image: Float[Tensor, "1 1 *space"]
    mask: Float[Tensor, "1 1 *space"]
    spacing: float | None
    scale: float | None


def _view(example: Example, shop: Workshop) -> _View:
    frame = frame_of(example.image, shop.kind.modality, shop.loaded, example.region)
    return _View(frame.seen, frame.region(example.region), frame.spacing, frame.scale)


@dataclass(frozen=True)
class _Pool:
    """Latents of all views of the examples, and the share of the concept in their cells."""

    clean: Latent
    mask: Float[Tensor, "views 1 *grid"]


def _pool(views: Sequence[_View], config: LearnConfig, shop: Workshop) -> _Pool:
    latents, masks = [], []
    for at, view in enumerate(views):
        for number in range(config.views):
            image, mask = view.image[0], view.mask[0]
            if number:
                generator = generator_for(config.seed, at * config.views + number)
                moved, where = augmented_with(image, mask, generator, MOVED)
                image, mask = moved, mask if where is None else where
            latent = shop.encode(image[None])
            latents.append(latent)
            masks.append(shop.pooled(mask[None]))
    return _Pool(torch.cat(latents), torch.cat(masks).to(latents[0]))


@torch.no_grad()
def _class_latents(
    priors: Sequence[MedicalImage], said: Said, plain: Said, config: LearnConfig, shop: Workshop
) -> Latent | None:
    """Latents of images of the class: those that are given, else generated ones."""
    if not config.prior:
        return None
    if priors:
        seen = [frame_of(one, shop.kind.modality, shop.loaded).seen for one in priors]
        return torch.cat([shop.encode(one) for one in seen])
    shape = shop.loaded.latent_shape(shop.kind.modality)
    denoise = guided(shop.loom.denoise(said), shop.loom.denoise(plain), Guidance(3.0))
    made = []
    for number in range(config.prior_images):
        noise = noise_for(config.seed, [number], shape).to(shop.loaded.device)
        made.append(last(sample_dpm_solver(denoise, shop.loom.process, noise, uniform_stops(12))))
    return torch.cat(made)


@dataclass(frozen=True)
class _Lessons:
    """What each step learns from."""

    loom: Loom
    pool: _Pool
    of_class: Latent | None
    plain: Said
    config: LearnConfig

    @staticmethod
    def numbered(number: int) -> int:
        """The items of the training loop are numbers; a lesson is drawn from its own."""
        return number

    def loss(self, concept: Concept, numbers: Sequence[int]) -> dict[str, Tensor]:
        """The loss of one lesson."""
        (number,) = numbers
        generator = generator_for(self.config.seed, number)
        lesson = Lesson(
            self._drawn(self.pool.clean, self.pool.mask, generator),
            self._drawn(self.pool.clean, self.pool.mask, generator),
            None
            if self.of_class is None
            else self._drawn(self.of_class, torch.ones_like(self.of_class[:, :1]), generator),
        )
        return lesson_loss(self.loom, concept, lesson, self.plain, prior=self.config.prior)

    def _drawn(self, clean: Latent, mask: Tensor, generator: torch.Generator) -> Batch:
        count = self.config.batch
        which = torch.randint(len(clean), (count,), generator=generator)
        noise = torch.randn((count, *clean.shape[1:]), generator=generator).to(clean)
        time = logit_normal_times(count, generator, mean=LOGIT).to(clean)
        return Batch(clean[which], noise, time, mask[which])


def _card(
    examples: Sequence[Example],
    views: Sequence[_View],
    config: LearnConfig,
    shop: Workshop,
    *,
    steps: int,
) -> ConceptCard:
    scales = [view.scale for view in views if view.scale is not None]
    return ConceptCard(
        name=config.name,
        kind=str(shop.kind),
        says=config.words,
        base=base_of(shop.loaded.card, shop.kind.modality),
        bank=bank(examples, shop),
        data=config.data,
        licence=config.licence,
        steps=steps,
        seed=config.seed,
        spacing=statistics.median_low(scales) if scales else None,
    )


def bank(examples: Sequence[Example], shop: Workshop) -> Bank:
    """What examples look like, in the window in which the flow sees them."""
    looks = []
    for one in examples:
        window = frame_of(one.image, shop.kind.modality, shop.loaded).window
        looks.append(look_of(window.normalise(one.image.voxels), one.region))
    return bank_of(looks)
