"""Translate in Python: images in, images on the first one's grid out, or one line that says why."""

import inspect
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgen import checkpoint
from medgen.checkpoint import Card
from medgen.errors import InputError, ModelError, UsageError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.tasks.translate import TranslateConfig, calibration_of, provenance_of, translate
from medgen.tasks.translator.model import load_translator, save_translator


@pytest.fixture
def mri(tmp_path: Path, volumes: SimpleNamespace) -> MedicalImage:
    return files.read(volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz"))


@pytest.fixture
def ct(tmp_path: Path, volumes: SimpleNamespace) -> MedicalImage:
    return files.read(volumes.save(volumes.head("ct"), tmp_path / "scan.nii.gz"))


@pytest.fixture
def config(tiny_model: Path) -> TranslateConfig:
    return TranslateConfig(model=str(tiny_model), device="cpu")


def test_the_result_lies_on_the_first_grid(mri: MedicalImage, config: TranslateConfig) -> None:
    made = translate([mri], config)
    assert made.image.voxels.shape == mri.voxels.shape
    assert made.image.geometry is mri.geometry
    assert str(made.image.kind) == "ct"
    assert made.image.voxels.min() >= -1024
    assert made.sigma is None
    assert [str(image.kind) for image in made.sources] == ["mri"]


def test_ct_becomes_mri(ct: MedicalImage, config: TranslateConfig) -> None:
    made = translate([ct], replace(config, to="mri:t2"))
    assert str(made.image.kind) == "mri:t2"
    assert made.image.voxels.min() >= 0


def test_a_second_image_matters(
    mri: MedicalImage, ct: MedicalImage, config: TranslateConfig
) -> None:
    flair = replace(config, to="mri:flair")
    alone, both = translate([mri], flair), translate([mri, ct], flair)
    assert not np.allclose(alone.image.voxels, both.image.voxels)


def test_samples_have_a_sigma_and_the_seed_decides(
    mri: MedicalImage, config: TranslateConfig
) -> None:
    several = replace(config, engine="diffuse", steps=2, samples=2)
    made, again = translate([mri], several), translate([mri], several)
    assert made.sigma is not None
    assert made.sigma.voxels.shape == mri.voxels.shape
    assert made.sigma.voxels.min() >= 0
    assert np.array_equal(made.image.voxels, again.image.voxels)
    other = translate([mri], replace(several, seed=9))
    assert not np.array_equal(made.image.voxels, other.image.voxels)


def test_sigma_is_calibrated_by_the_card(
    mri: MedicalImage, config: TranslateConfig, tmp_path: Path
) -> None:
    import torch

    loaded = load_translator(config.model, torch.device("cpu"))
    card = Card("c", "1", "translate", extra={"calibration": {"ct": {"scale": 3.0, "floor": 20.0}}})
    save_translator(tmp_path / "c", card, loaded.translator.config, loaded.translator.state_dict())
    several = replace(config, engine="diffuse", steps=2, samples=2)
    plain = translate([mri], several).sigma
    made = translate([mri], replace(several, model=str(tmp_path / "c")))
    assert plain is not None
    assert made.sigma is not None
    assert np.allclose(made.sigma.voxels, np.hypot(3 * plain.voxels, 20), rtol=1e-4)
    assert calibration_of(loaded, several.target).scale == 1


def test_provenance_names_the_model_and_the_seed(
    mri: MedicalImage, config: TranslateConfig
) -> None:
    made = translate([mri], config)
    assert provenance_of(made, config).model == "tiny"
    assert provenance_of(made, config).seed is None
    random = replace(config, engine="diffuse", seed=4, steps=3)
    assert (provenance_of(made, random).seed, provenance_of(made, random).steps) == (4, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"to": "text"}, "cannot translate to 'text'"),
        ({"view": "ap"}, "--view ap: belongs to --to xray"),
        ({"to": "xray", "engine": "diffuse", "samples": 2}, "no sigma for a radiograph"),
        ({"to": "mri"}, "cannot translate to 'mri'"),
        ({"to": "pet"}, "'pet' is not one of"),
        ({"source": "xray"}, "--from xray: only ct and mri"),
        ({"source": "spect"}, "'spect' is not one of"),
        ({"source": "ct"}, "--from ct --to ct: there is nothing"),
        ({"samples": 2}, "--samples needs --engine diffuse"),
        ({"engine": "diffuse", "samples": 0}, "at least 1"),
        ({"engine": "diffuse", "samples": 2, "steps": 1}, "--steps 2 or more"),
        ({"steps": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TranslateConfig(**settings)  # type: ignore[arg-type]


def test_a_ct_is_projected_without_a_model(ct: MedicalImage, config: TranslateConfig) -> None:
    frontal = replace(config, to="xray", model="none such")
    made, again = translate([ct], frontal), translate([ct], frontal)
    assert str(made.image.kind) == "xray"
    assert made.image.voxels.dtype == np.uint16
    assert np.array_equal(made.image.voxels, again.image.voxels)
    said = provenance_of(made, frontal)
    assert (said.model, said.model_sha256, said.seed, said.steps) == ("projection", "", 0, None)
    other = translate([ct], replace(frontal, seed=1)).image.voxels
    assert not np.array_equal(made.image.voxels, other)


def test_an_mri_is_projected_through_its_ct(mri: MedicalImage, config: TranslateConfig) -> None:
    xray = replace(config, to="xray", view="ap", source="mri:t1")
    made = translate([mri], xray)
    through = translate(
        [translate([mri], replace(config, source="mri:t1")).image],
        replace(config, to="xray", view="ap"),
    )
    assert np.array_equal(made.image.voxels, through.image.voxels)
    assert [str(image.kind) for image in made.sources] == ["mri:t1"]
    assert provenance_of(made, xray).model == "tiny"
    assert provenance_of(made, xray).model_sha256


def test_beside_a_ct_nothing_is_projected(
    mri: MedicalImage, ct: MedicalImage, config: TranslateConfig
) -> None:
    with pytest.raises(UsageError, match="the CT alone is projected"):
        translate([ct, mri], replace(config, to="xray"))


def test_what_is_asked_for_must_not_be_there_already(
    ct: MedicalImage, config: TranslateConfig
) -> None:
    with pytest.raises(UsageError, match=r"scan.nii.gz: is ct already; choose another --to$"):
        translate([ct], config)


def test_the_model_has_so_many_slots(mri: MedicalImage, config: TranslateConfig) -> None:
    with pytest.raises(UsageError, match="one CT and up to 3 MRIs"):
        translate([mri] * 4, config)
    with pytest.raises(UsageError, match="one CT and up to 3 MRIs"):
        translate([], config)


def test_companions_are_checked_too(
    mri: MedicalImage, ct: MedicalImage, config: TranslateConfig
) -> None:
    far = replace(ct, geometry=type(ct.geometry)(np.diag([2.0, 2, 2, 1]) + np.eye(4, k=3) * 900))
    with pytest.raises(InputError, match="covers 0% of the first image"):
        translate([mri, far], replace(config, to="mri:t2"))


def test_an_absent_device_is_refused(mri: MedicalImage, config: TranslateConfig) -> None:
    with pytest.raises(UsageError, match="--device cuda:99"):
        translate([mri], replace(config, device="cuda:99"))


def test_an_absent_model_is_refused(mri: MedicalImage, config: TranslateConfig) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        translate([mri], replace(config, model="nowhere"))


def test_the_example_of_the_documentation_runs(
    mri: MedicalImage, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "base").symlink_to(tiny_model)
    monkeypatch.setattr(checkpoint, "WEIGHTS", weights)
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(translate) or ""
    example = textwrap.dedent(text.partition("::\n")[2])
    exec(example, {})
    assert files.read(tmp_path / "ct.nii.gz").voxels.shape == mri.voxels.shape
