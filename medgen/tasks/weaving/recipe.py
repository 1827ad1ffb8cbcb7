"""A recipe for weaving many: which concepts, how many at once, how large, and where."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from scipy import ndimage

from medgen.config import from_mapping, read_mapping
from medgen.data.body import body_of
from medgen.errors import InputError, UsageError
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.weaving.regions import BLACK, Place, region_of

ROUGH = 0.35  # of a blob's radius: how far its border goes in and out
GRAIN = 0.5  # of its radius: how far apart the ins and outs are
TRIES = 20

Region = Bool[np.ndarray, "*space"]


@dataclass(frozen=True)
class Ingredient:
    """One concept of a recipe.

    Attributes:
        file: Of the concept, relative to the recipe.
        radius: Smallest and largest of its regions, mm; pixels where nobody knows their size.
        region: Where it may be: a region of `labels`; the body if not given.
        labels: Label map of a study; `{id}` stands for the study's, relative to the recipe.
        box: First and last row, column (and slice) in which its middle may lie, as shares of the
            scan; all of it if not given.
    """

    file: str
    radius: tuple[float, float] = (8.0, 20.0)
    region: str = ""
    labels: str = ""
    box: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if not 0 < self.radius[0] <= self.radius[1] < np.inf:
            raise UsageError(f"radius {list(self.radius)}: write smallest and largest, above 0")
        if bool(self.region) != bool(self.labels):
            raise UsageError("region and labels go together; write both, or neither")
        pairs = zip(self.box[::2], self.box[1::2], strict=False)
        if len(self.box) % 2 or any(not 0 <= low < high <= 1 for low, high in pairs):
            raise UsageError(f"box {list(self.box)}: write first and last share of each axis")


@dataclass(frozen=True)
class Recipe:
    """What `--recipe` names.

    Attributes:
        concept: The concepts to choose from.
        most: That one scan gets.
    """

    concept: tuple[Ingredient, ...]
    most: int = 1

    def __post_init__(self) -> None:
        """Raises UsageError if there is nothing to choose from."""
        if not self.concept:
            raise UsageError("a recipe needs a [[concept]] with a file")
        if not 1 <= self.most <= len(self.concept):
            raise UsageError(f"most is {self.most}; this recipe has {len(self.concept)} concepts")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; its files are relative to it.

    Raises:
        UsageError: If it cannot be read, or has an unknown word or a number that makes no sense.
    """
    recipe = from_mapping(Recipe, read_mapping(path), origin=str(path))
    found = [
        replace(
            one,
            file=str(path.parent / one.file),
            labels=str(path.parent / one.labels) if one.labels else "",
        )
        for one in recipe.concept
    ]
    return replace(recipe, concept=tuple(found))


def chosen(recipe: Recipe, generator: torch.Generator) -> list[Ingredient]:
    """Some of the concepts, each at most once."""
    count = int(torch.randint(1, recipe.most + 1, (), generator=generator))
    order = torch.randperm(len(recipe.concept), generator=generator).tolist()
    return [recipe.concept[at] for at in order[:count]]


def drawn(
    one: Ingredient,
    image: MedicalImage,
    study: str,
    generator: torch.Generator,
    taken: Region | None = None,
) -> Region:
    """A blob of random size and shape at a random place where a concept may be.

    Args:
        one: The concept.
        image: The scan.
        study: Its study's id.
        generator: Of this scan.
        taken: Where others are.

    Raises:
        InputError: If there is no room in the allowed anatomy.
    """
    allowed = _allowed(one, image, study)
    if taken is not None:
        allowed = allowed & ~taken
    middle = np.argwhere(allowed & _boxed(one, image.voxels.shape))
    if not len(middle):
        name = image.source.path.name if image.source else study
        raise InputError(f"{name}: has no room for {Path(one.file).name} where the recipe says")
    low, high = one.radius
    spacing = np.array(image.geometry.spacing[: image.voxels.ndim])
    best = np.zeros(allowed.shape, bool)
    for _ in range(TRIES):  # a place near the edge of the anatomy cuts most of a blob away
        share, place = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        radius = low + (high - low) * share
        blob = _blob(allowed.shape, middle[int(place * len(middle))], radius, spacing, generator)
        best = max(best, blob & allowed, key=np.count_nonzero)
        if np.count_nonzero(blob & allowed) > np.count_nonzero(blob) / 2:
            break
    return best


def _allowed(one: Ingredient, image: MedicalImage, study: str) -> Region:
    if one.region:
        labels = Path(one.labels.replace("{id}", study))
        return region_of(Place(region=one.region, labels=labels), image)
    if image.kind is not None and image.kind.modality is Modality.XRAY:
        low, high = float(image.voxels.min()), float(image.voxels.max())
        body: Region = image.voxels > low + BLACK * (high - low)
        return body
    return body_of(image)


def _boxed(one: Ingredient, shape: tuple[int, ...]) -> Region:
    inside = np.ones(shape, bool)
    if not one.box:
        return inside
    if len(one.box) != 2 * len(shape):
        raise UsageError(f"box {list(one.box)}: write {2 * len(shape)} shares for this scan")
    for axis, size in enumerate(shape):
        low, high = one.box[2 * axis : 2 * axis + 2]
        at = np.arange(size) / max(1, size - 1)
        keep = (at >= low) & (at <= high)
        inside &= keep.reshape([-1 if each == axis else 1 for each in range(len(shape))])
    return inside


def _blob(
    shape: tuple[int, ...],
    middle: np.ndarray,
    radius: float,
    spacing: np.ndarray,
    generator: torch.Generator,
) -> Region:
    """A ball whose border goes in and out; only the box around it is computed."""
    reach = np.ceil((1 + ROUGH) * radius / spacing).astype(int) + 1
    low = np.maximum(middle - reach, 0)
    high = np.minimum(middle + reach + 1, shape)
    box = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
    size = tuple(int(each) for each in high - low)
    axes = [
        ((np.arange(first, last) - at) * step) ** 2
        for first, last, at, step in zip(low, high, middle, spacing, strict=True)
    ]
    away = np.sqrt(sum(np.ix_(*axes)))
    noise = torch.randn(size, generator=generator).numpy()
    smooth = ndimage.gaussian_filter(noise, np.maximum(GRAIN * radius / spacing, 0.5))
    rough = smooth / max(float(smooth.std()), 1e-9)
    blob = np.zeros(shape, bool)
    blob[box] = away < radius * (1 + ROUGH * rough.clip(-2, 2) / 2)
    return blob
