"""Images of latents: what a codec decodes, as a file can hold it."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from medgen.data.intensity import HOUNSFIELD
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality

WHITE = 4095  # of a radiograph's 12 bits
BRIGHT_MRI = 1000  # of an MRI's arbitrary units: where its window ends


def image_of(
    decoded: Float[Tensor, "1 *space"], kind: Kind, spacing: float | None = None
) -> MedicalImage:
    """What was decoded, in the unit of its kind.

    A radiograph has grey levels of 12 bits, and nobody knows how large a pixel is. A volume is
    upright, its middle at 0 mm; a CT is in HU, an MRI in arbitrary units from 0.

    Args:
        decoded: In [-1, 1].
        kind: What it is.
        spacing: Of the voxels of a volume, mm.
    """
    values = decoded[0].numpy()
    if kind.modality is Modality.XRAY:
        grey = (WHITE * (values + 1) / 2).round().astype(np.uint16)
        return MedicalImage(grey, flat_detector(), kind, spacing_is_known=False)
    if kind.modality is Modality.CT:
        voxels = HOUNSFIELD.denormalise(values).round().astype(np.int16)
    else:
        voxels = (BRIGHT_MRI * (values + 1) / 2).round().astype(np.int16)
    affine = np.diag([spacing or 1.0] * 3 + [1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(voxels.shape) - 1) / 2)
    return MedicalImage(voxels, Geometry(affine), kind)
