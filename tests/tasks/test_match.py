"""Every prediction meets its own truth, or nothing is compared."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medgen.errors import InputError, UsageError
from medgen.modality import Modality
from medgen.tasks.match import match, study_of


def volumes(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4)), path)
    return folder


def pairs(pred: Path, truth: Path, mask: Path | None = None, word: str = "ct") -> list[list[str]]:
    """Names of prediction, truth and mask, below the folders that were given."""
    found = match(pred, truth, mask, Modality(word)).pairs
    cut = len(str(pred.parent)) + 1
    return [
        [str(path)[cut:].replace(".nii.gz", "") for path in (one.pred, one.truth, one.mask) if path]
        for one in found
    ]


@pytest.mark.parametrize(
    ("name", "study"),
    [
        ("p1", "p1"),
        ("p1_ct", "p1"),
        ("p_1", "p_1"),
        ("a/b/mr_t1_ct", "a/b"),
        ("_ct", "_ct"),
        ("t1", ""),
    ],
)
def test_a_study_is_the_name_without_its_kind(name: str, study: str) -> None:
    assert study_of(name) == study


def test_two_files_are_a_pair_whatever_their_names(tmp_path: Path) -> None:
    volumes(tmp_path, "a", "b", "c")
    one, other, mask = (tmp_path / f"{name}.nii.gz" for name in "abc")
    assert pairs(one, other, mask) == [["a", "b", "c"]]


def test_folders_pair_by_name(tmp_path: Path) -> None:
    pred, truth = volumes(tmp_path / "p", "b", "a"), volumes(tmp_path / "t", "a", "b")
    assert pairs(pred, truth) == [["p/a", "t/a"], ["p/b", "t/b"]]


def test_folders_pair_by_study(tmp_path: Path) -> None:
    pred = volumes(tmp_path / "p", "p1_ct", "p2_ct", "p2_ct_sigma")
    truth = volumes(tmp_path / "t", "p1/ct", "p1/mr_t1", "p2/ct", "p2/ct_tumour", "p3/ct")
    mask = volumes(tmp_path / "m", "p1_mask", "p2/mask", "p2/ct")
    assert pairs(pred, truth, mask) == [
        ["p/p1_ct", "t/p1/ct", "m/p1_mask"],
        ["p/p2_ct", "t/p2/ct", "m/p2/mask"],
    ]
    assert match(pred, truth, None, Modality.CT).without_prediction == ["p3/ct"]


def test_a_folder_of_one_study_has_one_truth(tmp_path: Path) -> None:
    pred = volumes(tmp_path / "p", "t1_ct")
    truth = volumes(tmp_path / "t", "ct", "t1", "t2")
    assert pairs(pred, truth) == [["p/t1_ct", "t/ct"]]


def test_one_mask_is_for_all_only_if_it_is_a_file(tmp_path: Path) -> None:
    pred, truth = volumes(tmp_path / "p", "a", "b"), volumes(tmp_path / "t", "a", "b")
    mask = volumes(tmp_path / "m", "a_mask")
    assert [one[2] for one in pairs(pred, truth, mask / "a_mask.nii.gz")] == ["m/a_mask"] * 2
    with pytest.raises(InputError, match=r"b\.nii\.gz: has no mask"):
        match(pred, truth, mask, Modality.CT)


def test_a_contrast_never_meets_another(tmp_path: Path) -> None:
    pred, truth = volumes(tmp_path / "p", "p1_t1"), volumes(tmp_path / "t", "p1_t1", "p1_t2")
    found = match(pred, truth, None, Modality.MRI)
    assert [one.truth.name for one in found.pairs] == ["p1_t1.nii.gz"]
    assert found.without_prediction == ["p1_t2"]


def test_a_manifest_names_truths_and_patients(tmp_path: Path) -> None:
    truth = volumes(tmp_path / "t", "x", "y", "z")
    rows = [
        {"id": "s1", "patient": "anna", "ct": "x.nii.gz", "mri:t1": "z.nii.gz"},
        {"id": "s2", "patient": "anna", "ct": "y.nii.gz"},
    ]
    (truth / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pred = volumes(tmp_path / "p", "s2_ct", "s1_ct")
    assert pairs(pred, truth) == [["p/s1_ct", "t/x"], ["p/s2_ct", "t/y"]]
    found = match(pred, truth / "manifest.jsonl", None, Modality.CT).pairs
    assert [(one.name, one.patient) for one in found] == [("s1", "anna"), ("s2", "anna")]


@pytest.mark.parametrize(
    ("preds", "truths", "masks", "error", "words"),
    [
        (["a", "b"], ["a", "c"], [], InputError, "b.nii.gz: has no truth"),
        (["a", "b"], ["c", "d"], [], InputError, "has no truth"),
        (["p1/a", "p1/b"], ["p1/c", "p2/c"], [], UsageError, "both fit"),
        (["p1"], ["p1_t1", "p1_t2"], [], UsageError, "fits both"),
        (["a", "b"], ["a", "b"], ["a", "c"], InputError, "has no mask"),
    ],
)
def test_what_is_not_clear_is_refused(
    tmp_path: Path,
    preds: list[str],
    truths: list[str],
    masks: list[str],
    error: type[Exception],
    words: str,
) -> None:
    pred, truth = volumes(tmp_path / "p", *preds), volumes(tmp_path / "t", *truths)
    mask = volumes(tmp_path / "m", *masks) if masks else None
    with pytest.raises(error, match=words):
        match(pred, truth, mask, Modality.CT)
