"""Where a voxel is: the map from voxel indices to millimetres in the patient.

Everything inside medgen is RAS+ (x to the patient's Right, y Anterior, z Superior),
in millimetres. DICOM's LPS+ is turned into RAS+ once, when a file is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from medgen.errors import GeometryError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
MIN_SPACING_MM, MAX_SPACING_MM = (
    1e-3,
    1e3,
)  # smaller than a cell, larger than a patient: a unit error


@dataclass(frozen=True)
class Geometry:
    """Position, orientation and voxel size of a volume.

    Attributes:
        affine: Voxel index (i, j, k, 1) to RAS+ millimetres. Shape (4, 4), float64.

    Raises:
        GeometryError: If the affine is not finite, is singular, or its spacing is impossible.

    Example:
        >>> Geometry(np.diag([0.5, 0.5, 3.0, 1.0])).spacing
        (0.5, 0.5, 3.0)
    """

    affine: Float[np.ndarray, "4 4"]

    def __post_init__(self) -> None:
        if not np.isfinite(self.affine).all():
            raise GeometryError("the affine has NaN or infinite entries")
        if any(not MIN_SPACING_MM <= s <= MAX_SPACING_MM for s in self.spacing):
            raise GeometryError(f"voxel spacing {self.spacing} mm is impossible")
        directions = self.affine[:3, :3] / np.array(self.spacing)
        if abs(np.linalg.det(directions)) < 1e-3:
            raise GeometryError("the affine is singular: two voxel axes point the same way")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres along i, j, k, in mm."""
        si, sj, sk = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(si), float(sj), float(sk)

    @property
    def affine_lps(self) -> Float[np.ndarray, "4 4"]:
        """The same map into DICOM's and ITK's LPS+ millimetres."""
        return LPS_TO_RAS @ self.affine

    @property
    def orientation(self) -> str:
        """The patient direction nearest to each voxel axis.

        Example:
            >>> Geometry(np.diag([-1.0, 1.0, 1.0, 1.0])).orientation
            'LAS'
        """
        return "".join("RAS"[axis] if sign > 0 else "LPI"[axis] for axis, sign in self.axes)

    @property
    def axes(self) -> tuple[tuple[int, int], ...]:
        """For each voxel axis, the RAS axis nearest to it and its sign; each RAS axis once."""
        directions = self.affine[:3, :3] / np.array(self.spacing)
        left, found = np.abs(directions).copy(), [(0, 1)] * 3
        for _ in range(3):  # the strongest match first, so that near-45 degree ties stay one-to-one
            world, voxel = np.unravel_index(np.argmax(left), left.shape)
            found[voxel] = (int(world), 1 if directions[world, voxel] > 0 else -1)
            left[world, :], left[:, voxel] = -1, -1
        return tuple(found)

    def index_in(
        self, other: "Geometry", index: Num[np.ndarray, "places 3"]
    ) -> Float[np.ndarray, "places 3"]:
        """Where voxel indices lie among the voxels of another geometry in the same frame.

        Example:
            >>> fine, coarse = Geometry(np.eye(4)), Geometry(np.diag([2.0, 2.0, 2.0, 1.0]))
            >>> fine.index_in(coarse, np.array([[2, 4, 7]])).tolist()
            [[1.0, 2.0, 3.5]]
        """
        world = self.affine @ np.c_[index, np.ones(len(index))].T
        return (np.linalg.inv(other.affine) @ world)[:3].T

    @classmethod
    def from_lps(cls, affine_lps: Float[np.ndarray, "4 4"]) -> "Geometry":
        """Build from an affine whose millimetres are LPS+ (DICOM, ITK).

        Example:
            >>> Geometry.from_lps(np.eye(4)).affine.diagonal().tolist()
            [-1.0, -1.0, 1.0, 1.0]
        """
        return cls(LPS_TO_RAS @ affine_lps)


def lie_inside(
    index: Float[np.ndarray, "places 3"], shape: Sequence[int]
) -> Bool[np.ndarray, "places"]:
    """Whether voxel indices lie in the field of view of an image with this many voxels."""
    return np.all((index > -0.5) & (index < np.array(shape) - 0.5), axis=1)
