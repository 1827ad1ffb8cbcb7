"""Same seed, same bytes; a study is whole or absent; the manifest names what is there."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from medgen.data.manifest import read_manifest
from medgen.errors import OutputError, UsageError
from medgen.io import files
from medgen.phantom.study_config import StudyConfig
from medgen.tasks.phantom import PhantomConfig, simulate, study_name

STUDY = StudyConfig(seed=1, spacing=8.0, size=(16, 16, 16), contrasts=("t1", "flair"))
CONFIG = PhantomConfig(number=2, study=STUDY)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "studies"
    assert len(list(simulate(CONFIG, out))) == 2
    return out


def test_same_seed_same_bytes(made: Path, tmp_path: Path) -> None:
    list(simulate(CONFIG, tmp_path / "again"))
    assert hashes(tmp_path / "again") == hashes(made)
    assert len(hashes(made)) == 2 + 2 * 4


def test_a_study_is_the_same_alone_and_among_many(made: Path, tmp_path: Path) -> None:
    list(simulate(replace(CONFIG, number=1), tmp_path / "one"))
    assert hashes(tmp_path / "one" / study_name(0)) == hashes(made / study_name(0))


def test_dicom_is_the_same_twice_and_the_same_patient(made: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, number=1, format="dicom")
    for name in ("a", "b"):
        list(simulate(config, tmp_path / name))
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    nifti = files.read(made / study_name(0) / "ct.nii.gz")
    dicom = files.read(tmp_path / "a" / study_name(0) / "ct")
    assert sorted(dicom.voxels.flat) == sorted(nifti.voxels.flat)


def test_the_manifest_is_right_and_complete(made: Path) -> None:
    studies = read_manifest(made / "manifest.jsonl")
    assert [study.id for study in studies] == ["study-0001", "study-0002"]
    assert [str(kind) for kind in studies[0].images] == ["ct", "mri:t1", "mri:flair"]


def test_findings_tell_each_study(made: Path) -> None:
    facts = json.loads((made / "findings.json").read_text())
    assert list(facts) == ["study-0001", "study-0002"]
    assert facts["study-0001"] == json.loads((made / "study-0001" / "findings.json").read_text())
    assert facts["study-0001"]["findings"] == []


def test_files_say_that_they_are_synthetic(made: Path) -> None:
    import nibabel as nib

    header = nib.load(made / "study-0001" / "ct.nii.gz").header
    assert b"SYNTHETIC" in header["descrip"].item() or b"SYNTHETIC" in header.binaryblock


def test_what_exists_is_kept(made: Path) -> None:
    before = hashes(made)
    with pytest.raises(OutputError, match="already exists"):
        list(simulate(CONFIG, made))
    assert hashes(made) == before


def test_a_stopped_run_goes_on(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    run = simulate(CONFIG, out)
    next(run)
    run.close()
    assert not (out / "manifest.jsonl").exists()
    first = (out / study_name(0) / "ct.nii.gz").stat().st_mtime_ns
    list(simulate(replace(CONFIG, skip_existing=True), out))
    assert (out / study_name(0) / "ct.nii.gz").stat().st_mtime_ns == first
    assert hashes(out) == hashes(made)


def test_overwriting_makes_it_again_and_spares_other_files(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "over"
    one = replace(CONFIG, number=1)
    list(simulate(one, out))
    list(simulate(replace(one, overwrite=True), out))
    assert hashes(out / study_name(0)) == hashes(made / study_name(0))
    (out / study_name(0) / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.txt"):
        list(simulate(replace(one, overwrite=True), out))
    assert (out / study_name(0) / "mine.txt").read_text() == "mine"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; name a folder"):
        list(simulate(CONFIG, tmp_path / "file"))


def test_no_studies_are_refused() -> None:
    with pytest.raises(UsageError, match="0 studies"):
        PhantomConfig(number=0)
