"""Before a model is run: is this image what it says, and like what the model was trained on?"""

from collections.abc import Iterator

import numpy as np

from medgen.checkpoint import TrainingRange
from medgen.errors import InputError, OutOfRangeError, UsageError
from medgen.io.image import MedicalImage
from medgen.modality import FACTS, Kind, Modality

AIR_LIKE_HU = (-1100.0, -900.0)  # what scanners store for air, and -1024 for beyond the field
PADDING_HU = (-4000.0, -1100.0)  # what some store outside the reconstructed circle
MIN_AIR_SHARE = 0.002
EDGE = 0.02  # relative tolerance of a range: 256 mm at 1.0 mm is 255.99 in many headers


def looks_like_ct(image: MedicalImage) -> bool:
    """Whether the numbers are HU: there is air near -1000, or negative fat, and nothing lower."""
    voxels = image.voxels
    air = ((voxels >= AIR_LIKE_HU[0]) & (voxels <= AIR_LIKE_HU[1])).mean()
    low = float(voxels.min())
    return PADDING_HU[0] <= low < -150 and (air > MIN_AIR_SHARE or low > -500)


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
    guess = Kind(Modality.CT if is_hu else Modality.MRI)
    kind = stated or image.kind or guess
    if kind.modality is Modality.XRAY:
        raise UsageError(f"{name}: is a radiograph; only volumes can be translated")
    if kind.modality is Modality.MRI and is_hu:
        raise InputError(f"{name}: is given as MRI but holds HU (air near -1000); use --from ct")
    if kind.modality is Modality.CT and not is_hu:
        raise InputError(f"{name}: is given as CT but has no air near -1000 HU; use --from mri")
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
        seen = np.percentile(image.voxels, [0.5, 99.5])
        if seen[0] < lowest or seen[1] > highest:
            yield (
                f"intensities {seen[0]:.0f} to {seen[1]:.0f}; "
                f"the model was trained on {lowest:g} to {highest:g}"
            )


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
    rng = np.random.default_rng(0)
    index = rng.random((2000, 3)) * (np.array(first.voxels.shape) - 1)
    world = first.geometry.affine @ np.c_[index, np.ones(len(index))].T
    inside = (np.linalg.inv(other.geometry.affine) @ world)[:3].T
    share = ((inside > -0.5) & (inside < np.array(other.voxels.shape) - 0.5)).all(1).mean()
    if share < 0.5:
        name = other.source.path if other.source else "second image"
        raise InputError(
            f"{name}: covers {share:.0%} of the first image; are they of one patient and frame?"
        )
