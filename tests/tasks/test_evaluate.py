"""An evaluation says the figures that its arrays have, on one grid, and how they were made."""

import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medgen.errors import InputError
from medgen.io.files import write
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.metrics.bootstrap import interval
from medgen.metrics.fidelity import NORMALISATION
from medgen.modality import Kind
from medgen.tasks.evaluate import Row, evaluate, score, summarise

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
SHAPE = (24, 20, 18)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def head(seed: int) -> np.ndarray:
    """Air with a ball of soft tissue and a lump of bone in it; HU."""
    random = np.random.default_rng(seed)
    grid = np.indices(SHAPE) - np.array([12, 10, 9])[:, None, None, None]
    hu = np.full(SHAPE, -1000.0)
    hu[(grid**2).sum(0) < 64] = 40
    hu[(grid**2).sum(0) < 9] = 900
    return (hu + random.integers(-9, 9, SHAPE)).astype(np.int16)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Predictions 10, 20 and 30 HU too high, truths, and masks."""
    for i in range(3):
        save(tmp_path / "pred" / f"p{i}_ct.nii.gz", head(i) + np.int16(10 * (i + 1)))
        save(tmp_path / "truth" / f"p{i}" / "ct.nii.gz", head(i))
        save(tmp_path / "mask" / f"p{i}_mask.nii.gz", (head(i) > -500).astype(np.uint8))
    return tmp_path / "pred", tmp_path / "truth", tmp_path / "mask"


def test_the_figures_are_those_of_the_arrays(folders: tuple[Path, Path, Path]) -> None:
    pred, truth, mask = folders
    result = evaluate(pred, truth, mask=mask)
    for i, row in enumerate(result.rows):
        inside = head(i) > -500
        assert row.study == row.patient == f"p{i}"
        assert row.voxels == inside.sum()
        expected = score(head(i) + np.int16(10 * (i + 1)), head(i), inside)
        assert row.scores == pytest.approx(expected, nan_ok=True)
        assert row.scores["mae"] == row.scores["mae_bone"] == 10 * (i + 1)
        assert math.isnan(row.scores["mae_air"])
    assert result.summary["mae"] == interval([10.0, 20.0, 30.0])
    assert result.mask == "given: voxels above 0"


def test_without_a_mask_it_is_the_body_of_the_truth(folders: tuple[Path, Path, Path]) -> None:
    pred, truth, mask = folders
    result = evaluate(pred, truth)
    assert "-500 HU" in result.mask
    assert [r.voxels for r in result.rows] == [
        r.voxels for r in evaluate(pred, truth, mask=mask).rows
    ]


def test_an_mri_is_compared_after_normalisation_and_says_so(tmp_path: Path) -> None:
    signal = (head(0).astype(np.float32) + 1000) / 7
    truth, pred = save(tmp_path / "a.nii", signal), save(tmp_path / "b.nii", signal * 3)
    result = evaluate(pred, truth, protocol="mri")
    assert result.definition == NORMALISATION
    assert result.rows[0].scores["ssim"] == pytest.approx(1.0)
    assert set(result.summary) == {"psnr", "ssim"}


def test_the_json_says_all_and_is_json(folders: tuple[Path, Path, Path]) -> None:
    pred, truth, _ = folders
    (pred / "p2_ct.nii.gz").unlink()
    found = json.loads(evaluate(pred, truth).to_json(), parse_constant=pytest.fail)
    assert found["protocol"] == "synthrad"
    assert found["config"] == {"resamples": 10_000, "seed": 0}
    assert found["without_prediction"] == ["p2/ct"]
    assert [row["scores"]["mae"] for row in found["rows"]] == [10.0, 20.0]
    assert found["summary"]["mae"]["mean"] == 15.0
    assert found["summary"]["mae_air"]["mean"] is None


def test_the_same_files_give_the_same_document(folders: tuple[Path, Path, Path]) -> None:
    pred, truth, mask = folders
    assert evaluate(pred, truth, mask=mask).to_json() == evaluate(pred, truth, mask=mask).to_json()


def test_a_patient_counts_once_however_many_studies() -> None:
    rows = [
        Row("s1", "anna", 1, {"mae": 10.0}),
        Row("s2", "anna", 1, {"mae": 30.0}),
        Row("s3", "bert", 1, {"mae": 60.0}),
        Row("s4", "bert", 1, {"mae": math.nan}),
    ]
    assert summarise(rows)["mae"] == interval([20.0, 60.0])


@pytest.mark.parametrize("part", ["pred", "mask"])
def test_another_grid_is_refused_with_the_remedy(tmp_path: Path, part: str) -> None:
    truth = save(tmp_path / "truth.nii", head(0))
    shifted = AFFINE.copy()
    shifted[0, 3] = 0.1
    for wrong in (
        save(tmp_path / "shape.nii", head(0)[1:]),
        save(tmp_path / "place.nii", head(0), shifted),
    ):
        files = {"pred": truth, "mask": None} | {part: wrong}
        with pytest.raises(InputError, match=r"(shape|place)\.nii.*resample it onto the grid of"):
            evaluate(files["pred"], truth, mask=files["mask"])


def test_rounding_in_a_header_is_the_same_grid(tmp_path: Path) -> None:
    almost = AFFINE.copy()
    almost[:3, 3] += 1e-3
    truth = save(tmp_path / "truth.nii", head(0))
    assert evaluate(save(tmp_path / "pred.nii", head(0), almost), truth).rows[0].scores["mae"] == 0


def test_an_image_of_another_kind_is_refused(tmp_path: Path) -> None:
    image = MedicalImage(head(0), Geometry(AFFINE), Kind.parse("ct"))
    path = write(image, tmp_path / "ct.nii", provenance=Provenance("phantom", "test"))
    with pytest.raises(InputError, match=r"ct\.nii: is ct, not mri; use --protocol synthrad"):
        evaluate(path, path, protocol="mri")


def test_numbers_that_cannot_be_of_the_protocol_are_refused(tmp_path: Path) -> None:
    ct = save(tmp_path / "ct.nii", head(0))
    mri = save(tmp_path / "t1.nii", (head(0) + 2000).astype(np.int16))
    with pytest.raises(InputError, match=r"t1\.nii: holds no HU .* use --protocol mri"):
        evaluate(ct, mri)
    with pytest.raises(InputError, match=r"ct\.nii: holds HU .* use --protocol synthrad"):
        evaluate(ct, ct, protocol="mri")


def test_a_mask_may_be_everything_and_not_nothing(tmp_path: Path) -> None:
    truth = save(tmp_path / "truth.nii", head(0))
    everything, nothing = (
        save(tmp_path / f"{value}.nii", np.full(SHAPE, value, np.uint8)) for value in (1, 0)
    )
    (row,) = evaluate(truth, truth, mask=everything).rows
    assert row.voxels == math.prod(SHAPE)
    with pytest.raises(InputError, match=r"0\.nii: is empty"):
        evaluate(truth, truth, mask=nothing)
