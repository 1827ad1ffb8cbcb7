"""Where the pixels of a radiograph are, on a flat detector of a standing patient."""

from typing import Literal

import numpy as np

from medgen.io.geometry import Geometry


def flat_detector(
    row_mm: float = 1.0,
    column_mm: float = 1.0,
    *,
    columns: Literal["left", "posterior"] = "left",
) -> Geometry:
    """The geometry of a radiograph as it is looked at: head up, patient's left or back at right.

    Voxel axes are (row, column, depth): rows go Inferior, columns go Left or Posterior, and the
    third axis, which a radiograph does not have, goes the other of these with 1 mm.

    Args:
        row_mm: Distance between the centres of two rows.
        column_mm: Distance between the centres of two columns.
        columns: Where they go: to the left in a frontal view, to the back in a lateral one.

    Example:
        >>> flat_detector(0.14, 0.14).orientation
        'ILP'
    """
    affine = np.zeros((4, 4))
    across, through = (0, 1) if columns == "left" else (1, 0)
    affine[2, 0], affine[across, 1], affine[through, 2] = -row_mm, -column_mm, -1.0
    affine[3, 3] = 1.0
    return Geometry(affine)
