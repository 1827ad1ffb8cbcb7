"""How far two images of a patient are apart, and the affine that brings them together.

A pair is meant to be registered; what is measured here is the residue. Rigid only: nothing is
resampled, so no voxel changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name all of its documentation uses
from jaxtyping import Bool, Float, Num
from scipy import ndimage

from medgen.data.body import body_of, is_ct
from medgen.errors import InputError
from medgen.io.geometry import LPS_TO_RAS, Geometry
from medgen.io.image import MedicalImage

LEVELS_MM = (8.0, 4.0, 2.0)  # coarse to fine: the coarsest sees across 2-3 cm of shift
SAMPLES = 50_000  # voxels the joint histogram is made of, at each level
SEED = 1
BINS = 32
ITERATIONS = 100
SOFT_HU = (-200.0, 300.0)  # fat against muscle is what CT shares with MRI; the rest would eat bins
RIM_MM = 8.0  # air around the body that is compared too: skin is the strongest edge


@dataclass(frozen=True)
class Shift:
    """A rigid misalignment, as the motion of the moving image that undoes it.

    Attributes:
        mm: Mean distance the body moves; a rotation counts by what it does to the body.
        rotation_degrees: Angle of the rotation about its own axis, from 0 to 180.
        transform: World of the moving image to world of the fixed one, RAS+ mm. Shape (4, 4).
    """

    mm: float
    rotation_degrees: float
    transform: Float[np.ndarray, "4 4"]


def measure_shift(fixed: MedicalImage, moving: MedicalImage) -> Shift:
    """Estimate the rigid motion between two volumes of one patient, of any kinds.

    Mutual information at three resolutions, from where the files say the volumes are; sampled
    inside the smaller one. Same images, same answer: the sampling is seeded and one thread adds
    it up. Soft tissue bends, so for limbs and bellies it is the best rigid answer, no more.

    Raises:
        InputError: If one of them is no volume, has no body, or they do not overlap.

    Source: Mattes et al. 2003 (10.1109/TMI.2003.809072), in ITK.
    """
    is_swapped = _extent(moving) < _extent(fixed)
    sampled, other = (moving, fixed) if is_swapped else (fixed, moving)
    body = body_of(_volume(sampled))
    points = _points(sampled, body)
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter((LPS_TO_RAS[:3, :3] @ points.mean(axis=0)).tolist())
    try:
        with _one_thread():
            for mm in LEVELS_MM:
                _register(*_at(mm, sampled, _volume(other), _with_rim(sampled, body)), rigid, mm)
    except RuntimeError:  # ITK's way of saying that all samples fell outside
        name = moving.source.path if moving.source else "moving image"
        raise InputError(f"{name}: does not overlap its partner; check both affines") from None
    to_other = _matrix(rigid)
    if is_swapped:
        return _describe(to_other, points)
    return _describe(np.linalg.inv(to_other), _moved(to_other, points))


def apply_shift(moving: MedicalImage, shift: Shift) -> MedicalImage:
    """The same voxels, where the fixed image says they are."""
    return replace(moving, geometry=Geometry(shift.transform @ moving.geometry.affine))


@contextmanager
def _one_thread() -> Iterator[None]:
    """ITK on one thread: the order of a sum must not depend on the machine."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _register(
    sampled: sitk.Image,
    other: sitk.Image,
    mask: sitk.Image,
    rigid: sitk.Euler3DTransform,
    step_mm: float,
) -> None:
    """Change `rigid` so that it takes points of `sampled` to where they are in `other`."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(mask)
    inside = int(sitk.GetArrayViewFromImage(mask).sum())
    if inside > SAMPLES:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(SAMPLES / inside, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_mm / 2,
        minStep=0.005,  # in mm, as the scales below say
        numberOfIterations=ITERATIONS,
        relaxationFactor=0.6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(rigid, inPlace=True)
    method.Execute(sampled, other)


def _at(
    mm: float, sampled: MedicalImage, other: MedicalImage, mask: Bool[np.ndarray, "i j k"]
) -> tuple[sitk.Image, sitk.Image, sitk.Image]:
    """Both volumes, smoothed, and the mask of the first one, with voxels of `mm` everywhere."""
    images = [
        _resampled(sitk.SmoothingRecursiveGaussian(_as_itk(image, _flattened(image)), mm / 2), mm)
        for image in (sampled, other)
    ]
    itk_mask = _as_itk(sampled, mask.astype(np.uint8))
    return images[0], images[1], _resampled(itk_mask, mm, sitk.sitkNearestNeighbor)


def _resampled(volume: sitk.Image, mm: float, interpolator: int = sitk.sitkLinear) -> sitk.Image:
    lengths = zip(volume.GetSize(), volume.GetSpacing(), strict=True)
    size = [max(4, int(count * spacing / mm)) for count, spacing in lengths]
    place = (volume.GetOrigin(), [mm] * 3, volume.GetDirection())
    return sitk.Resample(volume, size, sitk.Transform(), interpolator, *place)


def _flattened(image: MedicalImage) -> Float[np.ndarray, "i j k"]:
    """Voxels without the extremes that would eat the bins of a histogram."""
    window = SOFT_HU if is_ct(image) else np.percentile(image.voxels, [0.5, 99.5])
    return image.voxels.astype(np.float32).clip(*window)


def _as_itk(image: MedicalImage, voxels: Num[np.ndarray, "i j k"]) -> sitk.Image:
    spacing, affine_lps = image.geometry.spacing, image.geometry.affine_lps
    volume = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))  # ITK's arrays are (k, j, i)
    volume.SetSpacing(spacing)
    volume.SetOrigin(affine_lps[:3, 3].tolist())
    volume.SetDirection((affine_lps[:3, :3] / np.array(spacing)).ravel().tolist())
    return volume


def _matrix(rigid: sitk.Euler3DTransform) -> Float[np.ndarray, "4 4"]:
    """The transform as a matrix in RAS+ mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(rigid.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = rigid.TransformPoint([0.0, 0.0, 0.0])
    return LPS_TO_RAS @ matrix @ LPS_TO_RAS


def _volume(image: MedicalImage) -> MedicalImage:
    if image.voxels.ndim == 3:
        return image
    name = image.source.path if image.source else "image"
    raise InputError(f"{name}: is no volume, and only volumes can be registered")


def _extent(image: MedicalImage) -> float:
    """Volume of the field of view in mm³."""
    return float(np.prod(image.geometry.spacing) * image.voxels.size)


def _with_rim(image: MedicalImage, body: Bool[np.ndarray, "i j k"]) -> Bool[np.ndarray, "i j k"]:
    return ndimage.distance_transform_edt(~body, sampling=image.geometry.spacing) <= RIM_MM


def _points(image: MedicalImage, body: Bool[np.ndarray, "i j k"]) -> Float[np.ndarray, "points 3"]:
    """Some thousand points of the body, in RAS+ mm."""
    voxels = np.argwhere(body)
    return _moved(image.geometry.affine, voxels[:: max(1, len(voxels) // 5000)].astype(float))


def _moved(
    matrix: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points 3"]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _describe(transform: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "points 3"]) -> Shift:
    motion = _moved(transform, points) - points
    cosine = (np.trace(transform[:3, :3]) - 1) / 2
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return Shift(float(np.linalg.norm(motion, axis=1).mean()), angle, transform)
