"""A file becomes a translated file on the same grid with its sidecar, or nothing is left behind."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from medgen.data.study import Study
from medgen.errors import InputError, OutputError, UsageError
from medgen.io import files
from medgen.modality import Kind
from medgen.tasks import translate_files
from medgen.tasks.batch import Item, collect
from medgen.tasks.translate import TranslateConfig
from medgen.tasks.translate_files import output_of, translate_item

OBLIQUE = np.array(
    [[-1.9, 0.3, 0.5, 30], [0.4, 0.2, 2.9, -40], [0.2, -1.95, 0.6, 12], [0, 0, 0, 1]]
)


@pytest.fixture
def config(tiny_model: Path) -> TranslateConfig:
    return TranslateConfig(model=str(tiny_model), device="cpu")


@pytest.fixture
def item(tmp_path: Path, volumes: SimpleNamespace) -> Item:
    return Item("t1", volumes.save(volumes.head("mri"), tmp_path / "in" / "t1.nii.gz"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_nifti_in_nifti_out_on_the_same_grid(
    tmp_path: Path, volumes: SimpleNamespace, config: TranslateConfig
) -> None:
    path = volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz", OBLIQUE)
    written = translate_item(Item("t1", path), config)
    assert written.output == tmp_path / "t1_ct.nii.gz"
    found = nib.load(written.output)
    assert found.shape == (26, 24, 28)
    assert np.abs(found.affine - nib.load(path).affine).max() < 1e-5
    assert np.abs(found.get_qform() - found.get_sform()).max() < 20  # sheared: no qform
    assert found.get_data_dtype() == np.int16
    assert names(tmp_path) == ["t1.nii.gz", "t1_ct.json", "t1_ct.nii.gz"]


def test_dicom_in_dicom_out_in_the_same_place(
    tmp_path: Path, volumes: SimpleNamespace, plain_dicom: SimpleNamespace, config: TranslateConfig
) -> None:
    turn = np.diag([2.0, 2.0, 2.0, 1.0])[[2, 0, 1, 3]]
    turn[:3, 3] = 10, -20, 30
    slices = plain_dicom.slices(volumes.head("mri").astype(np.uint16), turn, "MR")
    folder = plain_dicom.save(slices, tmp_path / "series")
    written = translate_item(Item("series", folder), config)
    assert written.output == tmp_path / "series_ct"
    source, result = files.read(folder), files.read(written.output)
    assert str(result.kind) == "ct"
    assert result.voxels.shape == source.voxels.shape
    assert np.abs(result.geometry.affine - source.geometry.affine).max() < 1e-4


def test_a_series_of_a_manifest_becomes_a_series(
    tmp_path: Path, volumes: SimpleNamespace, plain_dicom: SimpleNamespace, config: TranslateConfig
) -> None:
    slices = plain_dicom.slices(
        volumes.head("mri").astype(np.uint16), np.diag([2.0, 2.0, 2.0, 1.0]), "MR"
    )
    folder = plain_dicom.save(slices, tmp_path / "t1")
    study = Study("s1", "p1", {Kind.parse("mri:t1"): folder})
    written = translate_item(Item("s1", tmp_path / "manifest.jsonl", study), config)
    assert written.output == tmp_path / "s1_ct"
    assert files.read(written.output).kind == Kind.parse("ct")


def test_dicom_in_nifti_out_is_the_same_result(
    tmp_path: Path, volumes: SimpleNamespace, plain_dicom: SimpleNamespace, config: TranslateConfig
) -> None:
    slices = plain_dicom.slices(
        volumes.head("mri").astype(np.uint16), np.diag([2.0] * 3 + [1]), "MR"
    )
    item = Item("series", plain_dicom.save(slices, tmp_path / "series"))
    as_dicom = files.read(translate_item(item, config).output)
    as_nifti = files.read(translate_item(item, config, out=tmp_path / "ct.nii.gz").output)
    assert np.array_equal(as_dicom.voxels, as_nifti.voxels)


def test_the_sidecar_tells_how(item: Item, config: TranslateConfig) -> None:
    written = translate_item(item, replace(config, engine="diffuse", steps=2, seed=3))
    said = json.loads(written.sidecar.read_text())
    assert said["Synthetic"] is True
    assert said["Task"] == "translate"
    assert (said["Kind"], said["Unit"]) == ("ct", "HU")
    assert said["Model"] == {"Name": "tiny", "SHA256": written.model_sha256}
    assert (said["Engine"], said["Steps"], said["Seed"], said["Samples"]) == ("diffuse", 2, 3, 1)
    assert said["Sources"] == [{"Kind": "mri", "SHA256": written.source_sha256}]
    assert said["Warnings"] == []
    assert "t1" not in written.sidecar.read_text()


def test_samples_write_sigma_and_no_result_is_taken_for_an_input(
    item: Item, config: TranslateConfig
) -> None:
    several = replace(config, engine="diffuse", steps=2, samples=2)
    written = translate_item(item, several)
    folder = item.path.parent
    assert written.sigma == folder / "t1_ct_sigma.nii.gz"
    assert files.read(written.sigma).voxels.shape == (26, 24, 28)
    assert "standard deviation" in (folder / "t1_ct_sigma.json").read_text()
    assert [found.path for found in collect([folder])] == [item.path]


def test_samples_of_dicom_write_two_series(
    tmp_path: Path, volumes: SimpleNamespace, plain_dicom: SimpleNamespace, config: TranslateConfig
) -> None:
    slices = plain_dicom.slices(
        volumes.head("mri").astype(np.uint16), np.diag([2.0] * 3 + [1]), "MR"
    )
    item = Item("s", plain_dicom.save(slices, tmp_path / "s"))
    written = translate_item(item, replace(config, engine="diffuse", steps=2, samples=2))
    assert written.sigma == tmp_path / "s_ct_sigma"
    assert files.read(written.sigma).voxels.min() >= 0
    sigma = pydicom.dcmread(written.sigma / "0001.dcm")
    assert "STD_DEVIATION" in sigma.ImageType
    assert "STD_DEVIATION" not in pydicom.dcmread(written.output / "0001.dcm").ImageType


def test_the_preview_is_drawn(item: Item, config: TranslateConfig, tmp_path: Path) -> None:
    translate_item(item, config, preview=tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.text["Synthetic"] == "yes"  # type: ignore[attr-defined]


def test_companions_are_used(
    item: Item, config: TranslateConfig, volumes: SimpleNamespace, tmp_path: Path
) -> None:
    other = volumes.save(volumes.head("mri")[::-1].copy(), tmp_path / "t2.nii.gz")
    alone = files.read(translate_item(item, config, out=tmp_path / "a").output)
    both_config = replace(config, companions=(str(other),))
    both = files.read(translate_item(item, both_config, out=tmp_path / "b").output)
    assert not np.array_equal(alone.voxels, both.voxels)
    said = json.loads((tmp_path / "b" / "t1_ct.json").read_text())
    assert len(said["Sources"]) == 2


def test_a_study_of_a_manifest_uses_all_it_has(
    item: Item, config: TranslateConfig, volumes: SimpleNamespace
) -> None:
    folder = item.path.parent
    ct = volumes.save(volumes.head("ct"), folder / "scan.nii.gz")
    images = {Kind.parse("ct"): ct, Kind.parse("mri:t1"): item.path}
    study = Item("sub-1", folder / "manifest.jsonl", Study("sub-1", "p", images))
    written = translate_item(study, replace(config, to="mri:t2"))
    assert written.output == folder / "sub-1_t2.nii.gz"
    kinds = [one["Kind"] for one in json.loads(written.sidecar.read_text())["Sources"]]
    assert kinds == ["ct", "mri:t1"]
    to_ct = translate_item(study, config)  # the real CT is no source of the synthetic one
    assert len(json.loads(to_ct.sidecar.read_text())["Sources"]) == 1
    alone = Item("sub-1", study.path, Study("sub-1", "p", {Kind.parse("ct"): ct}))
    with pytest.raises(UsageError, match="sub-1: has nothing to make ct from"):
        translate_item(alone, config, out=folder / "x")


@pytest.mark.parametrize("taken", ["t1_ct.nii.gz", "t1_ct.json", "t1_ct_sigma.nii.gz", "p.png"])
def test_what_is_in_the_way_is_found_before_anything_is_computed(
    item: Item, config: TranslateConfig, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.setattr(translate_files, "_read", lambda *_: pytest.fail("computed"))
    folder = item.path.parent
    (folder / taken).write_bytes(b"mine")
    several = replace(config, engine="diffuse", samples=2)
    with pytest.raises(OutputError, match=f"{taken}: already exists"):
        translate_item(item, several, preview=folder / "p.png")
    assert (folder / taken).read_bytes() == b"mine"
    assert names(folder) == sorted(["t1.nii.gz", taken])


def test_overwrite_replaces_everything(item: Item, config: TranslateConfig, tmp_path: Path) -> None:
    several = replace(config, engine="diffuse", steps=2, samples=2)
    translate_item(item, several, preview=tmp_path / "p.png")
    before = names(tmp_path)
    again = replace(several, overwrite=True, seed=5)
    translate_item(item, again, preview=tmp_path / "p.png")
    assert names(tmp_path) == before
    assert json.loads((item.path.parent / "t1_ct.json").read_text())["Seed"] == 5


@pytest.mark.parametrize("out", ["x.png", "x.dcm", "x.jpg", "x.nii.gz/y"])
def test_impossible_outputs_are_refused_before_anything_is_computed(
    item: Item, config: TranslateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr(translate_files, "_read", lambda *_: pytest.fail("computed"))
    (tmp_path / "x.nii.gz").write_bytes(b"a file, not a folder")
    with pytest.raises((UsageError, OutputError)):
        translate_item(item, config, out=tmp_path / out)


def test_a_preview_must_be_png(item: Item, config: TranslateConfig, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is drawn as \.png"):
        translate_item(item, config, preview=tmp_path / "p.jpg")


@pytest.mark.parametrize("fails", [1, 2])
def test_when_a_write_fails_nothing_is_left(
    item: Item, config: TranslateConfig, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    calls = []
    real = files.write

    def full(*words: Any, **settings: Any) -> Path:
        calls.append(words)
        if len(calls) == fails:
            raise OutputError("disk full")
        return real(*words, **settings)

    monkeypatch.setattr(files, "write", full)
    several = replace(config, engine="diffuse", steps=2, samples=2)
    with pytest.raises(OutputError, match="disk full"):
        translate_item(item, several, preview=item.path.parent / "p.png")
    assert len(calls) == fails
    assert names(item.path.parent) == ["t1.nii.gz"]


def test_the_result_is_written_last(
    item: Item, config: TranslateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    real = files.write

    def look(image: Any, path: Path, **settings: Any) -> Path:
        there.append(names(path.parent))
        return real(image, path, **settings)

    monkeypatch.setattr(files, "write", look)
    translate_item(item, config)
    assert there == [["t1.nii.gz", "t1_ct.json"]]


def test_outside_the_training_range_is_refused_or_recorded(
    tmp_path: Path, volumes: SimpleNamespace, config: TranslateConfig
) -> None:
    path = volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz", np.diag([1.0, 1, 1, 1]))
    with pytest.raises(InputError, match=r"field of view 26 x 24 x 28 mm.*use --force"):
        translate_item(Item("t1", path), config)
    assert names(tmp_path) == ["t1.nii.gz"]
    written = translate_item(Item("t1", path), replace(config, force=True))
    [warning] = written.warnings
    assert warning.startswith(f"{path}: field of view")
    [recorded] = json.loads(written.sidecar.read_text())["Warnings"]
    assert recorded.startswith("field of view")


def test_outputs_are_named_before_anything_is_read(tmp_path: Path, config: TranslateConfig) -> None:
    damaged = tmp_path / "scan.hdr"
    damaged.write_bytes(b"?")
    assert output_of(Item("scan", damaged), config) == tmp_path / "scan_ct.nii.gz"
    assert output_of(Item("gone", tmp_path / "gone.nii"), config) == tmp_path / "gone_ct.nii.gz"
    deep = Item("sub/t1", tmp_path / "sub" / "t1.nii.gz")
    assert output_of(deep, config, out=tmp_path / "o") == tmp_path / "o" / "sub" / "t1_ct.nii.gz"
