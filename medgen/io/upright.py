"""Upright: the same voxels in the same place, with axes that run Right, Anterior and Superior."""

import numpy as np
from jaxtyping import Shaped

from medgen.io.geometry import Geometry


def upright(
    voxels: Shaped[np.ndarray, "i j k"], geometry: Geometry
) -> tuple[Shaped[np.ndarray, "right anterior superior"], tuple[float, float, float]]:
    """Permute and flip the axes to the nearest patient directions; nothing is interpolated.

    Args:
        voxels: In the file's own order.
        geometry: Where they are.

    Returns:
        A view of the voxels, and their spacing along the new axes, mm.
    """
    axes, spacing = geometry.axes, geometry.spacing
    order = np.argsort([world for world, _ in axes])
    turned = voxels.transpose(order)[tuple(slice(None, None, axes[v][1]) for v in order)]
    x, y, z = (spacing[v] for v in order)
    return turned, (x, y, z)
