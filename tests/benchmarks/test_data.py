"""Nobody is trained on who is measured, and the constant is as wrong as the data README says."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cases import load_to_ct
from benchmarks.data import CT, T1, TEST, VALIDATION, main, of_split, split_of, studies
from medgen.data.manifest import read_manifest
from medgen.data.study import Split
from medgen.errors import InputError
from medgen.metrics.synthrad import mae
from medgen.modality import AIR_HU

DATA = Path(os.environ.get("MEDGEN_DATA", Path(__file__).parents[3] / "shared" / "data"))
CONSTANT_MAE = [148, 108, 67, 111, 96, 106]  # HU, the data README's reference point
needs_data = pytest.mark.skipif(not (DATA / "pairs").is_dir(), reason=f"no pairs in {DATA}")


def toy(folder: Path) -> Path:
    for name in (*TEST, *VALIDATION, "STS_001"):
        pair = folder / "pairs" / name
        pair.mkdir(parents=True)
        for file in ("ct.nii.gz", "mr_t1.nii.gz"):
            (pair / file).touch()
    return folder


def test_nobody_is_in_two_splits() -> None:
    assert len({*TEST, *VALIDATION}) == len(TEST) + len(VALIDATION) == 9


def test_who_is_measured_or_chooses_is_not_trained_on(tmp_path: Path) -> None:
    data = toy(tmp_path)
    assert [study.id for study in of_split(data, Split.TRAIN)] == ["STS_001"]
    assert {study.id for study in of_split(data, Split.TEST)} == set(TEST)
    assert split_of("STS_008") is Split.VALIDATION


def test_a_missing_patient_is_named(tmp_path: Path) -> None:
    data = toy(tmp_path)
    (data / "pairs" / "STS_047").rename(data / "elsewhere")
    with pytest.raises(InputError, match="STS_047"):
        studies(data)


def test_the_manifest_leads_to_the_same_files(tmp_path: Path) -> None:
    data, out = toy(tmp_path / "data"), tmp_path / "runs" / "pairs.jsonl"
    main(["--data", str(data), "-o", str(out)])
    listed = read_manifest(out, allow_outside=True)
    assert [study.split for study in listed] == [study.split for study in studies(data)]
    assert all(
        found.images[kind].resolve() == true.images[kind].resolve()
        for found, true in zip(listed, studies(data), strict=True)
        for kind in (CT, T1)
    )
    assert "split" in json.loads(out.read_text().splitlines()[0])


@needs_data
@pytest.mark.slow
def test_the_constant_is_as_wrong_as_the_data_readme_says() -> None:
    found = []
    for study in of_split(DATA, Split.TEST):
        case = load_to_ct(DATA, study)
        truth = np.where(case.edge, AIR_HU, case.truth)
        found.append(round(mae(np.full(truth.shape, 40.0), truth, case.mask)))
    assert found == CONSTANT_MAE
