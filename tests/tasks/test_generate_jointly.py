"""Several modalities of one patient: walked at one time, on one grid, each as the seed decides."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgen.cli import app
from medgen.errors import OutputError, UsageError
from medgen.io import files
from medgen.tasks.generate import Sample, generate, load_generator, understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.files import unheard, write_samples
from medgen.tasks.generating.generator import CHEST, HEAD
from medgen.tasks.generating.requests import Request
from tests.tasks.world_toy import SIDE, SPACING, TEXTS


@pytest.fixture
def config(world: SimpleNamespace) -> GenerateConfig:
    return GenerateConfig("ct,mri:t1", model=str(world.model), device="cpu", steps=2, number=2)


def made(config: GenerateConfig, **changed: object) -> list[Sample]:
    asked = replace(config, **changed)  # type: ignore[arg-type]
    return list(generate(understood(TEXTS[0], asked), [], asked))


def test_a_pair_is_registered(config: GenerateConfig, tmp_path: Path) -> None:
    request = Request("study", TEXTS[0])
    written = list(write_samples(request, [], replace(config, number=1), tmp_path))
    names = ["study-0001_ct.nii.gz", "study-0001_t1.nii.gz"]
    assert [one.output.name for one in written] == names
    ct, mri = (files.read(one.output) for one in written)
    assert ct.voxels.shape == mri.voxels.shape == (SIDE, SIDE, SIDE)
    np.testing.assert_array_equal(ct.geometry.affine, mri.geometry.affine)
    assert ct.geometry.spacing == (SPACING,) * 3
    one, other = (json.loads(each.sidecar.read_text()) for each in written)
    assert (one["Kind"], one["MadeWith"], one["CrossGuidance"]) == ("ct", ["mri:t1"], ["mri"])
    assert (other["Kind"], other["MadeWith"], other["CrossGuidance"]) == ("mri:t1", ["ct"], ["ct"])
    assert one["UnpairedPath"] == ["mri"]  # CT was never trained to hear MRI
    assert "UnpairedPath" not in other


def test_a_sample_is_its_seed_and_its_number(config: GenerateConfig) -> None:
    first, second = made(config)
    (alone,) = generate(understood(TEXTS[0], config), [], config, [1])
    swapped = made(config, modality="mri:t1,ct")[1]
    for at, image in enumerate(second.images):
        np.testing.assert_allclose(alone.images[at].voxels, image.voxels, atol=1)
        np.testing.assert_allclose(swapped.images[1 - at].voxels, image.voxels, atol=1)
        assert (first.images[at].voxels != image.voxels).any()


def test_without_listening_the_first_is_what_it_is_alone(config: GenerateConfig) -> None:
    """And with it, it is not."""
    alone = made(config, modality="ct")[0].image.voxels
    deaf, hearing = (made(config, cross=cross)[0] for cross in (False, True))
    np.testing.assert_array_equal(deaf.images[0].voxels, alone)
    for one, other in zip(deaf.images, hearing.images, strict=True):
        assert (one.voxels != other.voxels).any()


def test_a_radiograph_and_a_ct_that_never_met(config: GenerateConfig, tmp_path: Path) -> None:
    asked = replace(config, modality="xray,ct", number=1)
    xray, ct = write_samples(Request("study", TEXTS[0]), [], asked, tmp_path)
    assert [xray.output.name, ct.output.name] == ["study-0001_xray.png", "study-0001_ct.nii.gz"]
    for one, other in ((xray, "ct"), (ct, "xray")):
        assert other in json.loads(one.sidecar.read_text())["UnpairedPath"]


def test_flows_that_never_learned_to_hear_share_the_text(
    config: GenerateConfig, world: SimpleNamespace, tmp_path: Path
) -> None:
    before = replace(config, model=str(world.flows), number=1)
    assert unheard(config) == unheard(replace(before, cross=False)) == ""
    assert "ct and mri never learned to hear each other" in unheard(before)
    one, _ = write_samples(Request("study", TEXTS[0]), [], before, tmp_path)
    assert json.loads(one.sidecar.read_text())["CrossGuidance"] == []


def test_what_is_missing_is_made_as_it_was(config: GenerateConfig, tmp_path: Path) -> None:
    request = Request("study", TEXTS[0])
    written = list(write_samples(request, [], config, tmp_path))
    before = files.read(written[3].output).voxels
    for path in (written[3].output, written[3].sidecar):
        path.unlink()
    with pytest.raises(OutputError, match="exists"):
        list(write_samples(request, [], config, tmp_path))
    (again,) = write_samples(request, [], config, tmp_path, skip_existing=True)
    assert again.output == written[3].output
    np.testing.assert_allclose(files.read(again.output).voxels, before, atol=1)


def test_one_patient_has_one_anatomy(
    config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_generator(config)
    seen = {"findings-ct": ["pleural_effusion", "infarct"], "findings-mri": ["haemorrhage"]}
    monkeypatch.setitem(loaded.card.extra, "findings-ct", seen["findings-ct"])
    monkeypatch.setitem(loaded.card.extra, "findings-mri", seen["findings-mri"])
    assert loaded.check_anatomy() == {HEAD}
    with pytest.raises(UsageError, match="the text speaks of a chest"):
        understood("Large left pleural effusion.", config)
    monkeypatch.setitem(loaded.card.extra, "findings-ct", ["pleural_effusion"])
    assert loaded.anatomies(config.kinds[0].modality) == {CHEST}
    with pytest.raises(UsageError, match="makes ct of a chest; mri of a head"):
        load_generator(config)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--modality", "ct,ct"], 2, "names ct twice"),
        (["--modality", "mri:t1,mri:t2"], 2, "names mri twice"),
        (["--modality", "ct,mri:t1", "-o", "a.nii.gz"], 2, "name a folder for several"),
        (["--modality", "ct,mri:t1", "--format", "png"], 2, "ct is written as nifti or dicom"),
        (["--modality", "xray,ct", "--preview", "a.png"], 2, "radiographs or volumes, not both"),
        (["--modality", "ct,mri:t1", "--spacing", "1"], 2, "this model makes 8 mm"),
        (["--modality", "xray:lateral"], 2, "--to xray --view lateral"),
        (["--modality", "ct,mri:t1", "--model", "flows"], 5, "cannot make mri; it makes"),
    ],
)
def test_what_cannot_be_made_together(
    world: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["generate", "--text", TEXTS[0], "--model", str(world.model), "--device", "cpu"]
    assert app.main([*words, *more]) == code
    assert message in capsys.readouterr().err
