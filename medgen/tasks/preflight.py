"""Before a model is run: is this image what it says, and like what the model was trained on?"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

from medgen.checkpoint import TrainingRange
from medgen.errors import InputError, OutOfRangeError, UsageError
from medgen.io.geometry import lie_inside
from medgen.io.image import MedicalImage
from medgen.modality import FACTS, Kind, Modality

AIR_HU = (-1100.0, -900.0)  # what scanners store for air, and -1024 for beyond the field
EDGE_HU = (-650.0, -250.0)  # between air, lung and fat: only at edges
LOWEST_HU = -4000.0  # some store -2000 or -3024 outside the reconstructed circle
FAT_HU = (-200.0, -30.0)
MIN_SHARE = 0.002  # of the voxels, for something to be there
EDGE = 0.02  # relative tolerance of a range: 256 mm at 1.0 mm is 255.99 in many headers


def looks_like_ct(image: MedicalImage) -> bool:
    """Whether the numbers must be HU: air stands out near -1000, and below it is only padding.

    An MRI with negative numbers, such as a phase image, has as many of them anywhere else. A CT
    without any air, cut out of the inside of the body, is not told from such an MRI: its file or
    its user has to say what it is.
    """
    voxels, low = image.voxels, float(image.voxels.min())
    if not LOWEST_HU <= low <= AIR_HU[1]:
        return False
    air = _share(voxels, *AIR_HU)
    if low < AIR_HU[0]:
        air -= _share(voxels, low + 1, AIR_HU[0])  # padding is one number
    return air > max(MIN_SHARE, _share(voxels, *EDGE_HU))


def can_be_ct(image: MedicalImage) -> bool:
    """Whether the numbers allow it: air, or at least something as dark as fat."""
    low = float(image.voxels.min())
    has_fat = low >= LOWEST_HU and _share(image.voxels, *FAT_HU) > MIN_SHARE
    return looks_like_ct(image) or has_fat


def _share(voxels: Shaped[np.ndarray, "i j k"], low: float, high: float) -> float:
    some = _some(voxels)
    return float(((some >= low) & (some <= high)).mean())


def _some(voxels: Shaped[np.ndarray, "i j k"]) -> Shaped[np.ndarray, "n"]:
    """Up to two million of the voxels, evenly spread."""
    return voxels.ravel(order="K")[:: max(1, voxels.size // 1_000_000)]


def with_kind(image: MedicalImage, stated: Kind | None) -> MedicalImage:
    """The image with a kind that its numbers do not contradict.

    Args:
        image: As read; DICOM knows its modality, other files may not.
        stated: What the user says it is; None asks the file, then the numbers.

    Raises:
        UsageError: If a radiograph is given where a volume is needed.
        InputError: If a CT is given as MRI, or the reverse.
    """
    name = image.source.path if image.source else "image"
    if image.voxels.ndim != FACTS[Modality.CT].axes:
        raise UsageError(f"{name}: is a radiograph; only volumes can be translated")
    is_hu = looks_like_ct(image)
    kind = image.kind or Kind(Modality.CT if is_hu else Modality.MRI)
    if stated and (stated.modality != kind.modality or stated.contrast):
        kind = stated
    if kind.modality is Modality.XRAY:
        raise UsageError(f"{name}: is a radiograph; only volumes can be translated")
    if kind.modality is Modality.MRI and is_hu:
        raise InputError(f"{name}: is given as MRI but holds HU (air near -1000); use --from ct")
    if kind.modality is Modality.CT and not can_be_ct(image):
        raise InputError(f"{name}: is given as CT but holds no HU (no air, no fat); use --from mri")
    return image.with_voxels(image.voxels, kind)


def unlike_training(image: MedicalImage, training: TrainingRange | None) -> Iterator[str]:
    """Yield, one line each, how an image lies outside what a model has seen."""
    if training is None:
        return
    spacing = image.geometry.spacing
    low, high = training.spacing_mm
    if min(spacing) < low * (1 - EDGE) or max(spacing) > high * (1 + EDGE):
        shown = " x ".join(f"{s:.3g}" for s in spacing)
        yield f"voxel spacing {shown} mm; the model was trained on {low:g} to {high:g} mm"
    extent = [size * step for size, step in zip(image.voxels.shape, spacing, strict=True)]
    low, high = training.fov_mm
    if min(extent) < low * (1 - EDGE) or max(extent) > high * (1 + EDGE):
        shown = " x ".join(f"{e:.0f}" for e in extent)
        yield f"field of view {shown} mm; the model was trained on {low:g} to {high:g} mm"
    word = str(image.kind.modality) if image.kind else ""
    if word in training.intensity:
        lowest, highest = training.intensity[word]
        seen = np.percentile(_without_padding(image), [0.5, 99.5])
        if seen[0] < lowest or seen[1] > highest:
            yield (
                f"intensities {seen[0]:.0f} to {seen[1]:.0f}; "
                f"the model was trained on {lowest:g} to {highest:g}"
            )


def _without_padding(image: MedicalImage) -> Shaped[np.ndarray, "n"]:
    """Some of the voxels; of a CT those that are not darker than air can be."""
    voxels = _some(image.voxels)
    is_ct = image.kind is not None and image.kind.modality is Modality.CT
    inside = voxels[voxels >= AIR_HU[0]] if is_ct else voxels
    return inside if inside.size else voxels


def check_range(image: MedicalImage, training: TrainingRange | None, *, force: bool) -> list[str]:
    """Refuse an image unlike the training data, or return the warnings under `--force`.

    Raises:
        OutOfRangeError: With the first reason, if not forced.
    """
    reasons = list(unlike_training(image, training))
    name = image.source.path if image.source else "image"
    if reasons and not force:
        raise OutOfRangeError(f"{name}: {reasons[0]}; use --force to go on anyway")
    return [f"{name}: {reason}" for reason in reasons]


def check_same_place(first: MedicalImage, other: MedicalImage) -> None:
    """Make sure that two images of a patient overlap in the world.

    Raises:
        InputError: If less than half of the first is covered by the other.
    """
    share = share_covered(first, other)
    if share < 0.5:
        name = other.source.path if other.source else "second image"
        raise InputError(
            f"{name}: covers {share:.0%} of the first image; are they of one patient and frame?"
        )


def share_covered(first: MedicalImage, other: MedicalImage) -> float:
    """How much of a volume's field of view lies in that of another."""
    rng = np.random.default_rng(0)
    index = rng.random((2000, 3)) * (np.array(first.voxels.shape) - 1)
    there = first.geometry.index_in(other.geometry, index)
    return float(lie_inside(there, other.voxels.shape).mean())
