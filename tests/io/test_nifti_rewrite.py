"""A rewritten NIfTI file is its source but for the changed voxels and the synthetic mark."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medgen.errors import InputError, UsageError
from medgen.io import files, nifti
from medgen.io.provenance import Provenance
from medgen.modality import Kind

BY = Provenance("weave", "toy")
MARKS = {"descrip", "intent_name", "magic"}
MARKS |= {"aux_file", "db_name", "data_type", "unused_str"}  # free text
PATIENT = (b"DOE^JOHN", b"PID 123", b"born 1950", b"F 76 y")
CHANGED = np.zeros((5, 6, 7), bool)
CHANGED[1:3, 2:4, 3:5] = True


def write(path: Path, kind: Any, dtype: str, slope: float, inter: float) -> Path:
    order = {">": ">", "<": "<"}[dtype[0]]
    header = kind.header_class(endianness=order)
    voxels = np.random.default_rng(0).integers(20, 100, CHANGED.shape).astype(dtype)
    affine = np.array([[2.0, 0.1, 0, 3], [0, -2, 0, 4], [0, 0, 3, 5], [0, 0, 0, 1]])
    image = kind(voxels * slope + inter, affine, header=header)
    image.set_data_dtype(dtype)
    image.header["scl_slope"], image.header["scl_inter"] = slope, inter
    image.header["cal_max"], image.header["aux_file"] = 77, PATIENT[0]
    if kind is nib.Nifti1Image:
        image.header["db_name"] = PATIENT[1]
    image.header["unused_str" if kind is nib.Nifti2Image else "data_type"] = PATIENT[3]
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PATIENT[2]))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair])
@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [("<i2", 1, 0), (">i2", 2, -10), ("<u1", 0.5, 3), ("<f4", 1, 0), (">f8", 1, 0)],
)
def test_all_else_stays(kind: Any, dtype: str, slope: float, inter: float, tmp_path: Path) -> None:
    name = "scan.img" if kind is nib.Nifti1Pair else "scan.nii.gz"
    source = write(tmp_path / name, kind, dtype, slope, inter)
    image = files.read(source)
    voxels = image.voxels.astype(np.float64)
    voxels[CHANGED] += 2 * slope
    changed = replace(image, voxels=voxels, kind=Kind.parse("ct"))
    out = nifti.rewrite(changed, CHANGED, tmp_path / "out.nii.gz", provenance=BY)
    before, after = nib.load(source), nib.load(out)
    stored = [np.asanyarray(one.dataobj.get_unscaled()) for one in (before, after)]
    assert stored[0].dtype == stored[1].dtype == np.dtype(dtype)
    assert np.array_equal(stored[0][~CHANGED], stored[1][~CHANGED])
    np.testing.assert_allclose(stored[1][CHANGED], stored[0][CHANGED] + 2, atol=1e-4)
    assert np.array_equal(before.affine, after.affine)
    for field in before.header:
        if field not in MARKS:
            assert before.header[field].tobytes() == after.header[field].tobytes(), field
    assert after.header["descrip"].item().startswith(b"SYNTHETIC")
    (extension,) = after.header.extensions
    assert "weave" in extension.get_content().decode()
    content = gzip.decompress(out.read_bytes())
    assert not any(word in content for word in PATIENT)


@pytest.mark.parametrize(
    ("name", "called"),
    [("s.nii.gz", "scan"), ("s.nii", "scan.nii.gz"), ("s.nii.gz", "scan.nii"), ("s.nii", "s.png")],
)
def test_what_the_source_is_its_content_says(tmp_path: Path, name: str, called: str) -> None:
    source = write(tmp_path / name, nib.Nifti1Image, "<i2", 2, 1).rename(tmp_path / called)
    image = files.read(source)
    out = nifti.rewrite(image, CHANGED, tmp_path / "out.nii", provenance=BY)
    assert np.array_equal(files.read(out).voxels, image.voxels)


def test_of_several_volumes_none_is_written_again(tmp_path: Path) -> None:
    several = nib.Nifti1Image(np.random.default_rng(0).normal(size=(5, 6, 7, 2)), np.eye(4))
    nib.save(several, tmp_path / "s.nii")
    image = files.read(tmp_path / "s.nii", frame=1)
    with pytest.raises(InputError, match="several volumes"):
        nifti.rewrite(image, CHANGED, tmp_path / "out.nii", provenance=BY)


def test_a_value_beyond_the_type_is_clipped(tmp_path: Path) -> None:
    source = write(tmp_path / "scan.nii", nib.Nifti1Image, "<u1", 1, 0)
    image = files.read(source)
    voxels = image.voxels.astype(np.float64)
    voxels[CHANGED] = 300
    out = nifti.rewrite(replace(image, voxels=voxels), CHANGED, tmp_path / "o.nii", provenance=BY)
    assert (np.asanyarray(nib.load(out).dataobj)[CHANGED] == 255).all()


def test_only_what_was_nifti_is_written_again(tmp_path: Path) -> None:
    source = write(tmp_path / "scan.nii", nib.Nifti1Image, "<i2", 1, 0)
    image = files.read(source)
    with pytest.raises(UsageError, match=r"ends in \.nii"):
        nifti.rewrite(image, CHANGED, tmp_path / "o.png", provenance=BY)
    with pytest.raises(UsageError, match="only what was NIfTI"):
        nifti.rewrite(replace(image, source=None), CHANGED, tmp_path / "o.nii", provenance=BY)
