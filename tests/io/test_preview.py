"""The picture shows source and result as radiologists look at them, and says it is synthetic."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medgen.errors import OutputError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.preview import (
    CT_WINDOW,
    OUTLINE,
    planes,
    shown,
    write_preview,
    write_woven_preview,
)
from medgen.io.provenance import Provenance
from medgen.modality import Kind

CT, MRI = Kind.parse("ct"), Kind.parse("mri:t1")
MADE = Provenance("translate", "tiny", "0" * 64)
LAS = np.diag([-1.0, 1, 1, 1])


def cube(kind: Kind, affine: np.ndarray = LAS) -> MedicalImage:
    """1 in the patient's right, anterior, superior corner; 0 elsewhere."""
    ras = np.zeros((6, 8, 10), np.float32)
    ras[3:, 4:, 5:] = 1
    axes = Geometry(affine).axes
    voxels = ras
    for world, sign in axes:
        voxels = np.flip(voxels, world) if sign < 0 else voxels
    voxels = voxels.transpose([world for world, _ in axes])
    return MedicalImage(
        voxels * 1000 if kind == MRI else voxels * 1000 - 200, Geometry(affine), kind
    )


@pytest.mark.parametrize(
    "affine", [np.eye(4), LAS, np.eye(4)[[2, 0, 1, 3]], -LAS + 2 * np.diag([0, 0, 0, 1.0])]
)
def test_planes_look_the_same_from_every_orientation(affine: np.ndarray) -> None:
    axial, coronal, sagittal = (
        plane for plane, _ in planes(cube(MRI, affine).voxels, Geometry(affine))
    )
    assert axial.shape == (8, 6)
    assert axial[:4, :3].all(), "anterior is up, the patient's right is on the left"
    assert not axial[4:].any()
    assert not axial[:, 3:].any()
    assert coronal.shape == (10, 6)
    assert coronal[:5, :3].all(), "superior is up, the patient's right is on the left"
    assert not coronal[:, 3:].any()
    assert sagittal.shape == (10, 8)
    assert sagittal[:5, :4].all(), "superior is up, anterior is on the left"
    assert not sagittal[5:].any()


def test_pixels_have_their_size() -> None:
    voxels = np.zeros((4, 5, 6))
    sizes = [mm for _, mm in planes(voxels, Geometry(np.diag([1.0, 2.0, 3.0, 1.0])))]
    assert sizes == [(2.0, 1.0), (3.0, 1.0), (3.0, 2.0)]


def test_ct_has_the_bone_window_and_mri_its_own() -> None:
    assert (shown(cube(CT)).low, shown(cube(CT)).high, shown(cube(CT)).unit) == (*CT_WINDOW, "HU")
    assert (shown(cube(MRI)).low, shown(cube(MRI)).high) == (0, 1000)


def test_the_picture_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    write_preview(cube(MRI), cube(CT), path, provenance=MADE)
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        assert picture.text["Synthetic"] == "yes"  # type: ignore[attr-defined]
        assert picture.text["Description"] == MADE.sentence  # type: ignore[attr-defined]
        two_rows = picture.height
    write_preview(cube(MRI), cube(CT), path, provenance=MADE, sigma=cube(MRI), overwrite=True)
    with Image.open(path) as picture:
        assert picture.height == two_rows * 3 // 2


def test_a_flat_result_can_be_drawn(tmp_path: Path) -> None:
    zeros = np.zeros((5, 5, 5), np.float32)
    zeros[0, 0, 0] = 1e-9
    flat = MedicalImage(zeros, Geometry(LAS), MRI)
    write_preview(flat, flat, tmp_path / "p.png", provenance=MADE)


def test_a_picture_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="already exists"):
        write_preview(cube(MRI), cube(CT), tmp_path / "p.png", provenance=MADE)
    assert (tmp_path / "p.png").read_bytes() == b"mine"


@pytest.mark.parametrize("shape", [(20, 30), (10, 12, 14)])
def test_a_woven_scan_is_drawn_in_four_panels(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Scan, mask, result, and the difference: grey where nothing changed, white where most did."""
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(4, 7) for _ in shape)] = 1
    kind = Kind.parse("ct") if len(shape) == 3 else None
    scan = MedicalImage(voxels, Geometry(np.diag([2.0, 2, 2, 1])), kind)
    woven = replace(scan, voxels=voxels + 50 * mask)
    path = tmp_path / "woven.png"
    write_woven_preview(scan, mask, woven, path, provenance=Provenance("weave", "toy"))
    drawn = np.asarray(Image.open(path))
    side = drawn.shape[0]
    panels = [drawn[:, at * (side + 6) : at * (side + 6) + side] for at in range(4)]
    assert panels[1].max() == panels[3].max() == 255
    assert np.median(panels[3][panels[1] == 0]) in (0, 127)  # beside the picture, or unchanged
    assert (panels[3] == 255).sum() == pytest.approx((panels[1] == 255).sum(), rel=0.1)


def test_a_lender_is_drawn_with_the_outline_of_what_it_lends(tmp_path: Path) -> None:
    """The outline lies around the mask, in scan and lender alone; all else is grey."""
    mask = np.zeros((10, 12, 14), np.uint8)
    mask[4:7, 4:7, 4:7] = 1
    scan = cube(MRI)
    scan = replace(scan, voxels=np.arange(mask.size, dtype=np.float32).reshape(mask.shape))
    lender, woven = replace(scan, kind=CT), replace(scan, voxels=scan.voxels + 50 * mask)
    write_woven_preview(scan, mask, woven, tmp_path / "p.png", provenance=MADE, lender=lender)
    drawn = np.asarray(Image.open(tmp_path / "p.png")).astype(int)
    side = drawn.shape[0]
    panels = [drawn[:, at * (side + 6) : at * (side + 6) + side] for at in range(4)]
    edges = [(panel == OUTLINE).all(-1) for panel in panels]
    assert [edge.any() for edge in edges] == [True, True, False, False]
    assert np.array_equal(edges[0], edges[1])
    inside = ndimage.binary_fill_holes(edges[0]) & ~edges[0]
    assert inside.sum() == pytest.approx(9 / 120 * side * side * 10 / 12, rel=0.1)
    for each, edge in zip(panels, edges, strict=True):
        assert (np.ptp(each, axis=-1)[~edge] == 0).all()
