"""A volume is heard by the flow of another modality; the result lies on the volume's grid."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgen.cli import app
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.modality import Kind
from medgen.tasks.translate import TranslateConfig, Translation, translate


@pytest.fixture
def config(world: SimpleNamespace) -> TranslateConfig:
    return TranslateConfig(
        engine="flow", to="mri:t1", steps=2, model=str(world.model), device="cpu"
    )


@pytest.fixture
def ct(world: SimpleNamespace) -> MedicalImage:
    return replace(files.read(world.manifest.parent / "s0" / "ct.nii.gz"), kind=Kind.parse("ct"))


def made(image: MedicalImage, config: TranslateConfig, **changed: object) -> Translation:
    return translate([image], replace(config, **changed))  # type: ignore[arg-type]


def test_the_result_is_on_the_grid_and_in_the_unit(
    ct: MedicalImage, config: TranslateConfig
) -> None:
    mri = made(ct, config)
    assert mri.image.voxels.shape == ct.voxels.shape
    np.testing.assert_array_equal(mri.image.geometry.affine, ct.geometry.affine)
    assert mri.image.voxels.min() >= 0
    assert mri.unpaired == ()
    back = made(mri.image, config, to="ct")
    assert str(back.image.kind) == "ct"
    assert back.image.voxels.min() >= -1024
    assert back.unpaired == ("mri",)  # CT was taught before MRI was there


def test_it_hears_the_image_and_the_seed(ct: MedicalImage, config: TranslateConfig) -> None:
    one = made(ct, config).image.voxels
    np.testing.assert_array_equal(made(ct, config).image.voxels, one)
    half = ct.voxels.copy()
    half[14:] = -1000
    other = made(ct.with_voxels(half, ct.kind), config).image.voxels
    assert np.abs(other - one).max() > 1e-4  # it has hardly learned to hear, but it hears
    assert np.abs(made(ct, config, seed=1).image.voxels - one).max() > 0.5


def test_padding_of_an_mri_is_air_and_no_wall(ct: MedicalImage, config: TranslateConfig) -> None:
    mri = made(ct, config).image
    padded = mri.voxels.copy()
    padded[:6] = padded.min()
    filled = padded.copy()
    filled[:6] = padded[6]
    to_ct = replace(config, to="ct")
    found = made(mri.with_voxels(padded, mri.kind), to_ct).image.voxels
    whole = made(mri.with_voxels(filled, mri.kind), to_ct).image.voxels
    assert (found[:5] == -1000).all()
    np.testing.assert_allclose(found[5:], whole[5:], atol=0.1)
    assert (whole[:5] != -1000).any()


def test_what_lies_outside_is_told(ct: MedicalImage, config: TranslateConfig) -> None:
    wide = ct.geometry.affine.copy()
    wide[:3, :3] *= 4  # the head is 200 mm, the flow sees 128
    far = replace(ct, geometry=replace(ct.geometry, affine=wide))
    (warning,) = made(far, config).warnings
    assert "of the body; the rest is left air" in warning
    assert made(ct, config).warnings == ()


def test_what_stands_in_for_padding_is_no_body(ct: MedicalImage, config: TranslateConfig) -> None:
    mri = made(ct, config).image
    wide = mri.geometry.affine.copy()
    wide[:3, :3] *= 4
    geometry = replace(mri.geometry, affine=wide)
    filled = np.full_like(mri.voxels, 500) + mri.voxels
    padded = filled.copy()
    padded[:-6] = 0
    filled[:-6] = padded[-6]
    alone, everywhere = (
        made(replace(mri.with_voxels(one, mri.kind), geometry=geometry), config, to="ct").warnings
        for one in (padded, filled)
    )
    assert alone != everywhere  # what lies in the middle is seen, the edge is not


def test_a_file_says_which_engine_made_it(
    world: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = world.manifest.parent / "s0" / "t1.nii.gz"
    words = ["translate", str(source), "--engine", "flow", "--steps", "2", "-o", str(tmp_path)]
    words += ["--device", "cpu", "--overwrite"]
    model = ["--model", str(world.model)]
    assert app.main([*words, "--to", "ct", "--from", "mri:t1", *model]) == 0
    said = json.loads((tmp_path / "t1_ct.json").read_text())
    assert (said["Engine"], said["Steps"], said["Seed"]) == ("flow", 2, 0)
    assert said["UnpairedPath"] == ["mri"]
    capsys.readouterr()
    for more, code, message in (
        (["--to", "mri:t2", "--from", "mri:t1", *model], 2, "--engine flow: goes from CT to MRI"),
        (["--to", "mri:t2", *model], 2, "t1.nii.gz: --engine flow goes from CT to MRI"),
        (["--to", "ct", "--model", "base"], 5, "is a translate model without flows"),
        (["--to", "ct", "--model", "flows"], 5, "cannot make mri; it makes xray, text, ct"),
        (
            ["--to", "ct", "--model", str(world.flows)],
            5,
            "its flow of ct never learned to hear mri",
        ),
        (["--to", "ct", "--with", str(source), *model], 2, "hears one image"),
    ):
        assert app.main([*words, *more]) == code
        assert message in capsys.readouterr().err
