"""A limb's label map says what its Hounsfield units say, noise and couch aside."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from benchmarks.limbs import (
    CLEFT_MM,
    OVER_BONE_MM,
    PRESSED_MM,
    REACH_MM,
    SKIN_MM,
    enclosed,
    label_map,
    tissues,
    with_its_mirror,
)
from medgen.io import files
from medgen.phantom.anatomy import read_anatomy
from medgen.phantom.tissue import Tissue

SHAPE = (64, 64, 12)
HU = {
    Tissue.AIR: -1000,
    Tissue.FAT: -100,
    Tissue.MUSCLE: 55,
    Tissue.CORTICAL_BONE: 1200,
    Tissue.SPONGY_BONE: 260,
    Tissue.SKIN: 40,
}


def limb() -> np.ndarray:
    """Skin, fat, muscle, a shaft with fatty marrow and one with spongy bone."""
    i, j, _ = np.indices(SHAPE)
    found = np.full(SHAPE, Tissue.AIR)
    for at, radius, tissue in [
        ((30, 30), 26, Tissue.FAT),
        ((30, 30), 20, Tissue.MUSCLE),
        ((24, 24), 7, Tissue.CORTICAL_BONE),
        ((24, 24), 3.5, Tissue.FAT),
        ((38, 38), 8, Tissue.CORTICAL_BONE),
        ((38, 38), 5, Tissue.SPONGY_BONE),
    ]:
        found[np.hypot(i - at[0], j - at[1]) <= radius] = tissue
    depth = ndimage.distance_transform_edt(found > 0)
    found[(found > 0) & (depth <= SKIN_MM)] = Tissue.SKIN
    return found


def ct_of(limb: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 30, limb.shape)
    return np.vectorize(lambda tissue: HU[Tissue(tissue)])(limb) + noise


def test_tissues_are_found_through_noise() -> None:
    true = limb()
    found = tissues(ct_of(true))
    least = {Tissue.AIR: 0.99, Tissue.FAT: 0.95, Tissue.MUSCLE: 0.95}
    for tissue in HU:
        both = ((found == tissue) & (true == tissue)).sum()
        dice = 2 * both / ((found == tissue).sum() + (true == tissue).sum())
        assert dice > least.get(tissue, 0.8), tissue.name


def test_what_a_cortex_encloses_is_marrow_whatever_its_hounsfield_units() -> None:
    """Half fat, half trabeculae has the HU of muscle; through a gap of 2 mm it stays inside."""
    hu = ct_of(limb())
    i, j, _ = np.indices(SHAPE)
    marrow = np.hypot(i - 38, j - 38) <= 4
    hu[marrow] = 80
    hu[37:39, 43:47] = 80
    assert (tissues(hu)[marrow] == Tissue.SPONGY_BONE).mean() > 0.9
    hu[marrow] = 0
    assert (tissues(hu)[marrow] == Tissue.FAT).mean() > 0.9


def test_a_pelvis_encloses_no_marrow() -> None:
    i, j, _ = np.indices((128, 128, 1))
    ring = np.abs(np.hypot(i - 64, j - 64) - 50) < 4
    assert not enclosed(ring).any()
    small = np.abs(np.hypot(i - 64, j - 64) - 30) < 4
    assert enclosed(small).sum() > 2000


def test_a_couch_is_air() -> None:
    hu = ct_of(limb())
    hu[2:, 60:63] = 100
    assert (tissues(hu)[:, 59:] == Tissue.AIR).all()


def test_neither_gas_nor_the_edge_of_the_scan_has_skin() -> None:
    hu = ct_of(limb())[30:]
    hu[12:18, 26:34] = -1000
    found = tissues(hu)
    assert (found[12:18, 26:34] == Tissue.AIR).mean() > 0.8
    assert not (found[8:22, 22:38] == Tissue.SKIN).any()
    cut = found[0]
    assert (cut == Tissue.SKIN).sum() == 2 * SKIN_MM * hu.shape[2]  # at its two ends alone


def test_nothing_but_air_is_no_limb() -> None:
    air = tissues(np.full((9, 9, 9), -1000.0))
    assert (air == Tissue.AIR).all()
    assert with_its_mirror(air)[0] is air


def test_a_limb_lies_beside_its_mirror_image_and_each_has_its_skin() -> None:
    alone = limb()[6:, 12:48].astype(np.int16)  # cut off at the low end of i
    before = alone.copy()
    two, moved = with_its_mirror(alone)
    assert moved == 0
    assert (two == two[::-1]).all()
    kept = (len(two) - CLEFT_MM) // 2
    bone_end = 38 + 8 - 6
    assert kept - 1 - bone_end == OVER_BONE_MM
    assert (two[: kept - SKIN_MM] == before[: kept - SKIN_MM]).all()
    assert (alone == before).all()
    face, cleft = two[kept - SKIN_MM : kept], two[kept : kept + CLEFT_MM]
    assert (face == Tissue.SKIN).mean() > 0.8
    low, high = np.split(cleft, 2, axis=2)
    assert (low == face[-1:, :, :6]).all()
    assert (high == Tissue.AIR).all()
    flipped, moved = with_its_mirror(alone[::-1])
    assert (flipped == two).all()
    assert moved == len(two) - len(alone)
    whole, moved = with_its_mirror(alone[4:40])
    assert (whole == alone[4:40]).all()
    assert moved == 0


def test_limbs_are_pressed_together_where_no_bone_is_near() -> None:
    boneless = limb()[6:].astype(np.int16)
    boneless[(boneless == Tissue.CORTICAL_BONE) | (boneless == Tissue.SPONGY_BONE)] = Tissue.FAT
    two, _ = with_its_mirror(boneless)
    limb_end, kept = 56 - 6, (len(two) - CLEFT_MM) // 2
    assert kept - 1 == limb_end - PRESSED_MM


def test_the_phantom_reads_the_map_where_the_ct_was(tmp_path: Path) -> None:
    true = limb()[:48]  # free at the low end of i alone: its mirror image comes before it
    hu = ct_of(true)
    affine = np.diag([1.0, 1, 2, 1])
    affine[:3, 3] = 5, -7, 20
    nibabel.save(nibabel.Nifti1Image(hu.astype(np.float32), affine), tmp_path / "ct.nii")
    made = label_map(tmp_path / "ct.nii")
    (tmp_path / "limb.nii.gz").write_bytes(gzip.compress(made.to_bytes()))
    written = files.read(tmp_path / "limb.nii.gz")
    two, moved = with_its_mirror(tissues(hu))
    assert moved > 20
    assert written.geometry.affine[:3, 3] == pytest.approx(
        [5 - REACH_MM - moved, -7 - REACH_MM, 19.5 - REACH_MM]
    )
    anatomy = read_anatomy(tmp_path / "limb.nii.gz")
    assert anatomy.spacing == (1, 1, 1)
    inner = anatomy.tissue.numpy()[REACH_MM:-REACH_MM, REACH_MM:-REACH_MM, REACH_MM:-REACH_MM]
    assert inner.shape == (len(two), 64, 24)
    assert (inner[:, :, ::2] == two).mean() > 0.97
    assert (inner[moved:, :, ::2][16:] == true[16:]).mean() > 0.93  # before is the cleft
