"""Acquisition: one body, seen by a scanner on the scanner's own grid."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Contrast, Kind, Modality, View
from medgen.phantom.protocol import Relaxation
from medgen.phantom.radiograph import PLAIN, Display, Exposure, displayed, take
from medgen.phantom.render import Body, CTScan, MRIScan, render_ct, render_mri, rician

Volume = Float[Tensor, "i j k"]
Factors = tuple[int, int, int]
BRIGHT = 1000.0  # what a scanner stores for the 99th percentile
STORED = 4095.0  # the highest number of 12 bits
TOP_GREY = 4095  # of a radiograph: 12 bits, as detectors have


@dataclass(frozen=True)
class Averaging:
    """How many fine voxels make one voxel of the image.

    Attributes:
        factors: Along i, j, k of the fine grid.
        slices: Axis that the slices are stacked along; it becomes the image's last.
    """

    factors: Factors = (1, 1, 1)
    slices: int = 2


def acquire_ct(
    body: Body, geometry: Geometry, scan: CTScan, averaging: Averaging, *, generator: Generator
) -> MedicalImage:
    """Render a CT and average it to its grid; the noise is of the final voxels, whole HU.

    Args:
        body: The patient, on a fine grid.
        geometry: Of that grid.
        scan: Point spread function and noise.
        averaging: From the fine grid to the image's.
        generator: Source of what differs between patients and of the noise.
    """
    clean = render_ct(body, replace(scan, noise_hu=0), generator=generator)
    hu = average(clean, averaging.factors)
    hu = hu + scan.noise_hu * torch.randn(hu.shape, generator=generator)
    hu = hu.clamp(-1024, 3071).round()
    return _image(hu.to(torch.int16), geometry, averaging, Kind(Modality.CT))


def acquire_mri(
    body: Body,
    geometry: Geometry,
    scan: MRIScan,
    averaging: Averaging,
    *,
    contrast: Contrast | None,
    tissue: Relaxation,
    generator: Generator,
) -> MedicalImage:
    """Render an MRI and average it to its grid; noise is of the final voxels.

    Args:
        body: The patient, on a fine grid.
        geometry: Of that grid.
        scan: The acquisition; its thickness is not used, `averaging` says it.
        averaging: From the fine grid to the image's.
        contrast: What the image is called.
        tissue: Relaxation times of this patient.
        generator: Source of the receive field and the noise.

    Returns:
        Whole numbers from 0 to 4095 whose 99th percentile is about 1000, as scanners store.
    """
    quiet = MRIScan(scan.protocol, scan.fwhm_mm, 0, scan.bias, scan.bias_mm)
    clean = average(render_mri(body, quiet, tissue=tissue, generator=generator), averaging.factors)
    stored = (rician(clean, scan.noise, generator) * BRIGHT).clamp(0, STORED).round()
    return _image(stored, geometry, averaging, Kind(Modality.MRI, contrast))


def acquire_xray(
    hu: Volume,
    spacing: tuple[float, float, float],
    exposure: Exposure,
    *,
    generator: Generator,
    display: Display = PLAIN,
) -> MedicalImage:
    """Take a radiograph and develop it: 12-bit grey levels, bright behind bone.

    Args:
        hu: The patient, axes Right, Anterior, Superior; vacuum beyond.
        spacing: Along those, mm.
        exposure: Tube, detector, scatter and noise.
        generator: Source of the noise.
        display: How it is shown.

    Returns:
        Axes (row, column), placed on the detector.

    Raises:
        ValueError: If the patient reaches the tube.
    """
    signal = take(hu, spacing, exposure, generator=generator)
    pixel = exposure.pixel_mm
    shown = displayed(signal, display, pixel_mm=pixel)
    grey = torch.round(shown * TOP_GREY).numpy().astype(np.uint16)
    is_lateral = exposure.view == "lateral"
    columns: Literal["left", "posterior"] = "posterior" if is_lateral else "left"
    kind = Kind(Modality.XRAY, view=View.LATERAL if is_lateral else None)
    return MedicalImage(grey, flat_detector(pixel, pixel, columns=columns), kind)


def average(volume: Volume, factors: Factors) -> Float[Tensor, "x y z"]:
    """Means over blocks; what is left at the upper ends is dropped."""
    if factors == (1, 1, 1):
        return volume
    return F.avg_pool3d(volume[None], factors, factors)[0]


def averaged_geometry(geometry: Geometry, factors: Factors) -> Geometry:
    """Where the means over blocks lie: each in the middle of its block."""
    affine = geometry.affine.copy()
    middle = (np.array(factors) - 1) / 2
    affine[:3, 3] += affine[:3, :3] @ middle
    affine[:3, :3] *= np.array(factors)
    return Geometry(affine)


def _image(voxels: Tensor, geometry: Geometry, averaging: Averaging, kind: Kind) -> MedicalImage:
    geometry = averaged_geometry(geometry, averaging.factors)
    order = [axis for axis in range(3) if axis != averaging.slices] + [averaging.slices]
    affine = geometry.affine[:, [*order, 3]]
    array = np.ascontiguousarray(voxels.numpy().transpose(order))
    return MedicalImage(array, Geometry(affine), kind)


def turned_to_lps(image: MedicalImage) -> MedicalImage:
    """The same image with rows and columns in the order in which scanners store axial slices.

    Every voxel axis that points Right or Anterior is reversed; voxels stay where they are.
    """
    voxels, affine = image.voxels, image.geometry.affine.copy()
    for axis, (world, sign) in enumerate(image.geometry.axes):
        if world < 2 and sign > 0:
            affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
            voxels = np.flip(voxels, axis)
    return MedicalImage(np.ascontiguousarray(voxels), Geometry(affine), image.kind)
