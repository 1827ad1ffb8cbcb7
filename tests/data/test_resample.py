"""Landmarks keep their millimetres, and what needs no interpolation is not interpolated."""

from itertools import permutations, product

import numpy as np
import pytest

from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.io.geometry import Geometry

RNG = np.random.default_rng(0)
SHAPE = (9, 12, 7)
TURNS = [
    np.array([[s * (a == p) for a in range(3)] for s, p in zip(signs, order, strict=True)])
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def affine_of(matrix: np.ndarray, origin: tuple[float, ...] = (3.0, -20.0, 11.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, origin
    return affine


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """About x, then y, then z; radians."""
    cx, cy, cz, sx, sy, sz = *np.cos([x, y, z]), *np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ about_y @ about_x


OBLIQUE = [
    rotation(0.3, -0.2, 0.5) * (0.9, 1.3, 2.1),
    rotation(0.1, 0.7, 0.0) * (-1.0, 0.5, 3.0),  # left-handed
    rotation(0, 0, np.pi / 4),
]


def positions(grid: Grid) -> np.ndarray:
    index = np.stack(
        [*np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), np.ones(grid.shape)]
    )
    return np.tensordot(grid.geometry.affine, index, 1)[:3]


def ramp(grid: Grid) -> np.ndarray:
    """A plane in world coordinates, 1 unit a mm or less."""
    x, y, z = positions(grid)
    return 0.5 * x - 0.3 * y + 0.8 * z + 7


def test_to_its_own_grid_is_the_identity() -> None:
    voxels = RNG.normal(size=SHAPE).astype(np.float32)
    geometry = Geometry(affine_of(OBLIQUE[0]))
    assert np.array_equal(resample(voxels, geometry, Grid(SHAPE, geometry), fill=0.0), voxels)


@pytest.mark.parametrize("turn", TURNS, ids=lambda t: Geometry(affine_of(t)).orientation)
def test_flips_and_permutations_are_exact(turn: np.ndarray) -> None:
    """Every voxel of the target that lies in the source has the source's value, bit for bit."""
    source = Grid(SHAPE, Geometry(affine_of(rotation(0.2, 0.1, -0.4) * 1.7)))
    voxels = RNG.normal(size=SHAPE).astype(np.float32)
    shape = tuple((np.abs(turn.T) @ SHAPE).tolist())
    matrix = source.geometry.affine[:3, :3] @ turn
    corner = np.where(turn.sum(axis=1) < 0, np.array(SHAPE) - 1, 0)
    origin = source.geometry.affine[:3, :3] @ corner + source.geometry.affine[:3, 3]
    target = Grid(shape, Geometry(affine_of(matrix, tuple(origin))))
    axes = np.abs(turn).argmax(axis=0)
    expected = voxels.transpose(axes)[tuple(slice(None, None, s) for s in turn.sum(axis=0))]
    assert np.array_equal(resample(voxels, source.geometry, target, fill=0.0), expected)


def test_whole_voxel_shifts_are_exact_and_filled_beyond() -> None:
    voxels = RNG.normal(size=SHAPE).astype(np.float32)
    moved = Geometry(affine_of(np.diag([2.0, 2, 2]), (2.0 * 3, 0, -2.0 * 2)))
    found = resample(
        voxels, Geometry(affine_of(np.diag([2.0] * 3), (0, 0, 0))), Grid(SHAPE, moved), fill=-5
    )
    assert np.array_equal(found[:-3, :, 2:], voxels[3:, :, :-2])
    assert (found[-3:] == -5).all()
    assert (found[:, :, :2] == -5).all()


def test_a_fill_of_nan_touches_nothing_else() -> None:
    voxels = RNG.normal(size=SHAPE).astype(np.float32)
    grid = Grid((30, 30, 30), Geometry(affine_of(np.diag([0.7] * 3), (-3, -3, -3))))
    found = resample(voxels, Geometry(affine_of(np.eye(3), (0, 0, 0))), grid, fill=np.nan)
    at = positions(grid)
    inside = ((at > -0.5) & (at < np.array(SHAPE)[:, None, None, None] - 0.5)).all(axis=0)
    assert np.array_equal(np.isfinite(found), inside)


@pytest.mark.parametrize("matrix", OBLIQUE)
@pytest.mark.parametrize("own", [np.eye(3), rotation(0.4, 0.2, 0.1) * (1, 0.8, 2.5)])
def test_a_ramp_stays_the_same_ramp(matrix: np.ndarray, own: np.ndarray) -> None:
    source = Grid((40, 44, 30), Geometry(affine_of(own, (0, 0, 0))))
    middle = source.geometry.affine @ [19.5, 21.5, 14.5, 1]
    target = Grid(
        (8, 7, 6), Geometry(affine_of(matrix, tuple(middle[:3] - matrix @ [3.5, 3, 2.5])))
    )
    found = resample(ramp(source), source.geometry, target, fill=0.0)
    assert np.abs(found - ramp(target)).max() < 1e-3


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 0.5), (1.0, 3.3, 0.7)])
def test_a_ramp_survives_parallel_grids_of_other_spacing(spacing: tuple[float, ...]) -> None:
    source = Grid((30, 30, 30), Geometry(affine_of(np.diag([1.0, -1, 1]), (0, 29, 0))))
    target = Grid((5, 5, 5), Geometry(affine_of(np.diag(spacing), (8.3, 7.9, 12.0))))
    found = resample(ramp(source), source.geometry, target, fill=0.0)
    assert np.abs(found - ramp(target)).max() < 1e-3


@pytest.mark.parametrize("matrix", OBLIQUE)
def test_a_landmark_keeps_its_place(matrix: np.ndarray) -> None:
    """The centre of mass of a blob, in mm, is where it was."""
    source = Grid((31, 33, 29), Geometry(affine_of(matrix)))
    centre = source.geometry.affine @ [14.2, 17.7, 13.1, 1]
    blob = np.exp(-((positions(source) - centre[:3, None, None, None]) ** 2).sum(0) / (2 * 2.5**2))
    target = isotropic_grid(source, 1.0)
    found = resample(blob, source.geometry, target, fill=0.0)
    where = (positions(target) * found).reshape(3, -1).sum(1) / found.sum()
    assert np.abs(where - centre[:3]).max() < 0.05


@pytest.mark.parametrize("matrix", [*OBLIQUE, np.diag([-0.4, 5.0, 1.0])])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_the_isotropic_grid_is_ras_and_covers_the_source(
    matrix: np.ndarray, spacing: float
) -> None:
    source = Grid(SHAPE, Geometry(affine_of(matrix)))
    grid = isotropic_grid(source, spacing)
    assert grid.geometry.orientation == "RAS"
    assert np.allclose(grid.geometry.spacing, spacing)
    corners = np.array(
        [
            *product(*((-0.5, size - 0.5) for size in SHAPE)),
        ]
    )
    world = source.geometry.affine @ np.c_[corners, np.ones(8)].T
    inside = (np.linalg.inv(grid.geometry.affine) @ world)[:3].T
    slack = 0.5 + 2e-3
    assert (inside >= -slack).all()
    assert (inside <= np.array(grid.shape) - 1 + slack).all()


def test_an_isotropic_source_is_only_turned() -> None:
    """At the model's own spacing nothing is interpolated, so the voxels are the same numbers."""
    voxels = RNG.normal(size=SHAPE).astype(np.float32)
    source = Grid(SHAPE, Geometry(affine_of(rotation(0.2, 0, 0.1) @ np.array(TURNS[13]))))
    grid = isotropic_grid(source, 1.0)
    turned = resample(voxels, source.geometry, grid, fill=0.0)
    assert np.array_equal(np.sort(turned.ravel()), np.sort(voxels.ravel()))
    assert np.array_equal(resample(turned, grid.geometry, source, fill=0.0), voxels)


def test_a_checkerboard_becomes_its_mean_not_a_moire() -> None:
    board = np.indices((40, 40, 40)).sum(0) % 2 * 2.0
    target = Grid((8, 8, 8), Geometry(affine_of(np.diag([4.3] * 3), (3, 3, 3))))
    found = resample(board, Geometry(affine_of(np.eye(3), (0, 0, 0))), target, fill=0.0)
    assert found.mean() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(found - 1).max() < 0.02


def test_the_oblique_path_agrees_with_the_parallel_one() -> None:
    voxels = RNG.normal(size=(12, 12, 12)).astype(np.float32)
    own = Geometry(affine_of(np.eye(3), (0, 0, 0)))
    parallel = affine_of(np.diag([0.7, 0.6, 0.9]), (1.3, 2.2, 1.1))
    oblique = affine_of(rotation(1e-7, 1e-7, 1e-7) @ np.diag([0.7, 0.6, 0.9]), (1.3, 2.2, 1.1))
    one, other = (
        resample(voxels, own, Grid((9, 9, 9), Geometry(affine)), fill=0.0)
        for affine in (parallel, oblique)
    )
    assert np.abs(one - other).max() < 1e-4


def test_integers_and_reversed_views_are_taken() -> None:
    voxels = RNG.integers(-100, 100, SHAPE).astype(np.int16)[::-1]
    geometry = Geometry(affine_of(np.eye(3), (0, 0, 0)))
    grid = Grid(SHAPE, Geometry(affine_of(np.eye(3), (1, 0, 0))))
    assert np.array_equal(resample(voxels, geometry, grid, fill=0.0)[:-1], voxels[1:])
