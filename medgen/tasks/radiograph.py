"""The radiograph of a CT: the physics of simulated radiographs, applied to a real scan."""

from dataclasses import replace

import numpy as np
import torch

from medgen.data.body import body_of
from medgen.errors import InputError
from medgen.io.image import MedicalImage
from medgen.io.upright import upright
from medgen.modality import AIR_HU, Kind, Modality
from medgen.phantom.acquisition import acquire_xray
from medgen.phantom.projection import View
from medgen.phantom.radiograph import Exposure

XRAY = Kind(Modality.XRAY)
SOURCE_MM: dict[View, float] = {"pa": 1800.0, "ap": 1000.0, "lateral": 1800.0}  # AP is at the bed
MAX_SIDE = 3000  # pixels, as detectors have


def radiograph_of(ct: MedicalImage, view: View, *, seed: int = 0) -> MedicalImage:
    """Make a radiograph of the patient in a CT; couch and clothes do not show.

    Args:
        ct: HU. The view is taken along the scan's own axes, not the room's.
        view: `pa`, `ap` or `lateral` (the left side on the detector).
        seed: Of the noise.

    Returns:
        12-bit grey levels, bright behind bone; axes (row, column), on the detector, whose pixels
        are as fine as the finest side of a voxel.

    Raises:
        InputError: If no body is in the scan, or it is longer than the room between tube and
            detector.
    """
    inside = body_of(ct)
    patient = np.where(inside, ct.voxels, np.float32(AIR_HU))
    turned, spacing = upright(patient, ct.geometry)
    hu = torch.from_numpy(np.ascontiguousarray(turned, np.float32))
    longest = max(size * step for size, step in zip(hu.shape, spacing, strict=True))
    pixel = max(min(spacing), 1.5 * longest / MAX_SIDE)
    exposure = Exposure(view, pixel_mm=pixel, source_mm=SOURCE_MM[view])
    generator = torch.Generator().manual_seed(seed)
    try:
        taken = acquire_xray(hu, spacing, exposure, generator=generator)
    except ValueError as error:
        name = ct.source.path if ct.source else "image"
        raise InputError(f"{name}: {error}; crop it, or choose another --view") from error
    return replace(taken, source=ct.source)
