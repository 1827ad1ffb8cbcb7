"""Where the pixels of a radiograph are, on a flat detector of a standing patient."""

import numpy as np

from medgen.io.geometry import Geometry


def flat_detector(row_mm: float = 1.0, column_mm: float = 1.0) -> Geometry:
    """The geometry of a frontal radiograph as it is looked at: head up, patient's left at right.

    Voxel axes are (row, column, depth): rows go Inferior, columns go Left, and the third axis,
    which a radiograph does not have, goes Posterior with 1 mm.

    Args:
        row_mm: Distance between the centres of two rows.
        column_mm: Distance between the centres of two columns.

    Example:
        >>> flat_detector(0.14, 0.14).orientation
        'ILP'
    """
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -row_mm, -column_mm, -1.0, 1.0
    return Geometry(affine)
