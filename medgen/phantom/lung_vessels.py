"""The vessels of the lungs: two trees whose twigs reach everywhere."""

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from medgen.finding import Side
from medgen.phantom.canvas import Canvas, one_of
from medgen.phantom.part import LUNGS
from medgen.phantom.tissue import Tissue

TWIGS = 220  # ends of vessels in each lung
TWIG_MM = 1.05  # radius of such an end


def draw_lung_vessels(canvas: Canvas, part: UInt8[Tensor, "i j k"], generator: Generator) -> None:
    """Paint arteries and veins from each hilum to points all over its lung.

    Args:
        canvas: With lungs; blood takes the place of lung only.
        part: Lobe of each voxel.
        generator: Source of the points.
    """
    x, y, z = (axis.flatten() for axis in canvas.axes)
    for side, lobes in LUNGS.items():
        inside = one_of(part, lobes).nonzero()
        chosen = inside[torch.randint(len(inside), (TWIGS,), generator=generator)]
        ends = torch.stack([x[chosen[:, 0]], y[chosen[:, 1]], z[chosen[:, 2]]], dim=1)
        sign = 1.0 if side is Side.RIGHT else -1.0
        points, parents = _tree(torch.tensor([sign * 34.0, -12.0, -8.0]), ends)
        carried = torch.ones(len(points))  # twigs that a point feeds
        for at in range(len(points) - 1, 0, -1):
            carried[parents[at]] += carried[at]
        for at in range(1, len(points)):
            radius = TWIG_MM * float(carried[at]) ** (1 / 3)
            path = [tuple(points[parents[at]].tolist()), tuple(points[at].tolist())]
            canvas.paint_path(path, radius, Tissue.BLOOD, over=(Tissue.LUNG,))


def _tree(
    root: Float[Tensor, "3"], ends: Float[Tensor, "ends 3"]
) -> tuple[Float[Tensor, "points 3"], list[int]]:
    """Connect points to a root, the near ones first, each to the nearest point there already.

    Radii then follow Murray's law, by which the cubes of the branches add up to the stem's:
    Murray 1926 (10.1073/pnas.12.3.207).

    Returns:
        The root and the points by distance from it, and which point each hangs on.
    """
    order = (ends - root).norm(dim=1).argsort()
    points = torch.cat([root[None], ends[order]])
    far = (points - root).norm(dim=1)
    parents = [0]
    for at in range(1, len(points)):
        # Towards the root: a detour over a point that lies as far out costs half of its way.
        cost = (points[:at] - points[at]).norm(dim=1) + 0.5 * far[:at]
        parents.append(int(cost.argmin()))
    return points, parents
