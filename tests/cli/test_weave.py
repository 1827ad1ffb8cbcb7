"""`medgen weave` and `medgen weave learn`, as scripts and people call them."""

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medgen.cli.app import main
from medgen.cli.weave_run import can_be_completed, is_woven
from tests.tasks.weave_toy import corner_examples, dim_radiograph, save_mask

FEW = ["--set", "steps=3", "--device", "cpu", "--set", "batch=2", "--set", "views=1"]
FEW += ["--set", "prior_images=1"]


@pytest.fixture
def here(
    corner_flows: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """A folder with a scan, a mask, three examples with theirs, and the model's name."""
    monkeypatch.chdir(tmp_path)
    studies = corner_flows.manifest.parent
    dim_radiograph(tmp_path / "scan.png")
    region = np.zeros((64, 64), bool)
    region[40:56, 8:24] = True
    save_mask(region, tmp_path / "mask.png")
    save_mask(~region & region, tmp_path / "empty.png")
    for number, one in enumerate(corner_examples(studies)[:3]):
        (tmp_path / f"{number}.png").write_bytes((studies / f"{number}.png").read_bytes())
        save_mask(one.region, tmp_path / f"m{number}.png")
    return SimpleNamespace(folder=tmp_path, model=["--model", str(corner_flows.model)])


def learn(here: SimpleNamespace, *more: str) -> int:
    images = [f"{number}.png" for number in range(3)]
    masks = [word for number in range(3) for word in ("--masks", f"m{number}.png")]
    words = ["weave", "learn", *images, *masks, "--name", "mass", "-o", "mass.concept"]
    return main([*words, *FEW, *here.model, *more])


def test_learn_and_weave(here: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn(here, "--json", "--record", "learned.json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["output"] == "mass.concept"
    assert made["examples"] == 3
    assert Path("mass.concept").stat().st_size == made["bytes"] <= 2_000_000
    record = json.loads(Path("learned.json").read_text())
    assert len(record["inputs"]) == 6
    assert record["verb"] == "weave learn"
    words = ["weave", "scan.png", "--concept", "mass.concept=mask.png", "--device", "cpu"]
    words += ["--steps", "3", *here.model, "-o", "out/", "--record", "woven.json", "--json"]
    assert main(words) == 0
    told = capsys.readouterr()
    line = json.loads(told.out)
    assert line["output"] == "out/scan_woven.png"
    assert line["regions"][0]["name"] == "mass"
    assert "mass: " in told.err
    assert "spreads from its examples" in told.err
    files = {path.name for path in Path("out").iterdir()}
    assert files == {"scan_woven.png", "scan_woven_mask.png", "scan_woven.json"}
    assert Image.open("out/scan_woven.png").text["Synthetic"] == "yes"
    text = Path("woven.json").read_text()
    assert len(json.loads(text)["outputs"]) == 3
    assert '"scan.png"' not in text


def test_the_report_says_what_was_woven(here: SimpleNamespace) -> None:
    assert learn(here, "--instant") == 0
    Path("old.txt").write_text("No mass or effusion.")
    words = ["weave", "scan.png", "--concept", "mass.concept=mask.png", *here.model]
    words += ["--report", "old.txt", "--steps", "2", "-o", "out.png", "--preview", "drawn.png"]
    assert main(words) == 0
    assert Path("out_report.txt").read_text() == "No pleural effusion.\nRight mass.\n"
    assert Path("old.txt").read_text() == "No mass or effusion."
    drawn = np.asarray(Image.open("drawn.png"))
    assert drawn.shape[1] > 4 * drawn.shape[0]  # four panels
    assert (drawn[186:230, 330:380] == 255).all()  # the mask, in the second


def test_an_empty_mask_is_told(here: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert learn(here, "--instant") == 0
    words = ["weave", "scan.png", "--concept", "mass.concept=empty.png", *here.model]
    assert main([*words, "-o", "out.png"]) == 0
    assert "every mask is empty: out.png is the scan's own bytes" in capsys.readouterr().err
    assert Path("out.png").read_bytes() == Path("scan.png").read_bytes()


def test_what_is_woven_already_is_skipped(here: SimpleNamespace) -> None:
    assert learn(here, "--instant") == 0
    Path("out.png").write_bytes(b"woven")
    words = ["weave", "scan.png", "--concept", "mass.concept=mask.png", *here.model, "-o"]
    assert main([*words, "out.png", "--skip-existing"]) == 0
    assert Path("out.png").read_bytes() == b"woven"
    assert main([*words, "more.png", "-n", "2"]) == 2


def test_a_woven_scan_is_there_when_all_that_is_asked_for_is(tmp_path: Path) -> None:
    scan, out, picture, report = (
        tmp_path / name for name in ("scan.png", "out.png", "p.png", "old.txt")
    )
    assert not is_woven(str(scan), out)
    out.write_bytes(b"woven")
    assert is_woven(str(scan), out, preview=picture)  # the scan's own bytes: no more to come
    assert not can_be_completed(str(scan), out)
    out.with_suffix(".json").write_text('{"Synthetic": true, "Task": "weave"}')
    assert is_woven(str(scan), out)
    assert not is_woven(str(scan), out, preview=picture)
    assert not is_woven(str(scan), out, report=report)
    assert can_be_completed(str(scan), out)
    picture.touch()
    (tmp_path / "out_report.txt").touch()
    assert is_woven(str(scan), out, preview=picture, report=report)


def test_a_picture_is_not_woven_into_dicom(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(here, "--instant") == 0
    words = ["weave", "scan.png", "--concept", "mass.concept=mask.png", *here.model]
    assert main([*words, "-o", "out.dcm"]) == 2
    assert "-o out.dcm: what is woven from scan.png is a .png" in capsys.readouterr().err
    assert not Path("out.dcm").exists()
    assert main([*words, "-o", "out.nii.gz"]) == 2
    assert "out.nii.gz: NIfTI holds volumes" in capsys.readouterr().err


def test_an_empty_mask_leaves_nothing_of_an_earlier_weave(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or a real scan would lie beside a sidecar that calls it synthetic."""
    assert learn(here, "--instant") == 0
    words = ["weave", "scan.png", *here.model, "--steps", "2", "-o", "out.png", "--overwrite"]
    assert main([*words, "--concept", "mass.concept=mask.png"]) == 0
    assert Path("out_mask.png").exists()
    assert main([*words, "--concept", "mass.concept=empty.png"]) == 0
    assert sorted(path.name for path in here.folder.glob("out*")) == ["out.png"]
    capsys.readouterr()
    other = ["weave", "scan.png", *here.model, "-o", "out.nii.gz"]
    assert main([*other, "--concept", "mass.concept=empty.png"]) == 2
    assert "out.nii.gz: NIfTI holds volumes" in capsys.readouterr().err
    assert not Path("out.nii.gz").exists()


def test_info_tells_what_a_concept_is(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(here, "--instant", "--licence", "CC0-1.0") == 0
    capsys.readouterr()
    assert main(["info", "mass.concept"]) == 0
    told = capsys.readouterr().out
    assert "mass, of xray" in told
    assert "instantly, seed 0" in told
    assert "licence      CC0-1.0" in told
    assert "data         not said" in told
    assert "of no bundled model" in told
    assert main(["info", "mass.concept", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["concept"]
    assert said["card"]["bank"]["examples"] == 3
    assert said["bytes"] == Path("mass.concept").stat().st_size


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--concept", "mass.concept"], 2, "goes nowhere; write mass.concept=MASK"),
        (["--box", "1,2,3,4"], 2, "--box 1,2,3,4: has no concept"),
        (["--concept", "mass.concept", "--region", "heart"], 2, "name it with --labels"),
        (
            ["--concept", "mass.concept", "--region", "hart", "--labels", "seg.png"],
            2,
            "nearest: heart",
        ),
        (
            ["--concept", "mass.concept", "--region", "left_upper_lobe", "--labels", "seg.png"],
            2,
            "seg.png has none; nearest: left_lower_lobe",
        ),
        (["--concept", "mass.concept=mask.png", "--steps", "1"], 2, "steps is 1; choose 2"),
        (["--box", "1,2,3,4", "--region", "heart", "--labels", "seg.png"], 2, "which comes first"),
        (["--concept", "mass.concept=mask.png", "--preview", "o.png", "-o", "o.png"], 2, "another"),
        (["--concept", "mass.concept=mask.png", "-o", "mask.png", "--overwrite"], 2, "the inputs"),
        (["--concept", "none.concept=mask.png"], 4, "none.concept: cannot be read"),
        ([], 2, "nothing to weave"),
        (["--concept", "mass.concept=mask.png", "-o", "out.jpg"], 2, "medgen writes"),
    ],
)
def test_what_cannot_be_asked(
    here: SimpleNamespace,
    words: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert learn(here, "--instant") == 0
    labels = np.zeros((64, 64), np.uint8)
    labels[:9], labels[9:20] = 51, 11
    Image.fromarray(labels).save("seg.png")
    before = set(here.folder.iterdir())
    capsys.readouterr()
    record = here.folder.parent / f"{here.folder.name}.json"
    assert main(["weave", "scan.png", *words, *here.model, "--record", str(record)]) == code
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert set(here.folder.iterdir()) == before
    if record.exists():
        named = ("mass.concept", "none.concept", "mask.png", "seg.png")
        assert not any(f"{name}:" in json.loads(record.read_text())["error"] for name in named)


def test_places_go_to_concepts_in_their_order(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(here, "--instant") == 0
    words = ["weave", "scan.png", "--concept", "mass.concept", "--concept", "mass.concept=mask.png"]
    words += ["--concept", "mass.concept", "--box", "4,9,10,20", "--box", "30,35,30,35"]
    assert main([*words, *here.model, "--steps", "2", "-o", "o.png"]) == 0
    mask = np.asarray(Image.open("o_mask.png"))
    assert (mask[4:10, 10:21] == 1).all()
    assert (mask[40:56, 8:24] == 2).all()
    assert (mask[30:36, 30:36] == 3).all()


def test_what_cannot_be_is_told_before_anything_is_learned(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(here, "--instant", "--steps", "9", "-o", "mass.concept") == 2
    assert "--steps is of a concept that is trained" in capsys.readouterr().err
    assert learn(here, "-o", "mass.safetensors") == 2
    assert "ends in .concept" in capsys.readouterr().err


@pytest.fixture
def pair(volumes: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Two CTs, and a mask on the second: `scan`, `ct` and `mask`; returns where it is."""
    monkeypatch.chdir(tmp_path)
    affine = np.diag([-4.0, 4, 4, 1])
    voxels = volumes.head("ct")
    scan = volumes.save(voxels, tmp_path / "scan.nii.gz", affine)
    region = np.zeros(voxels.shape, bool)
    region[12:17, 10:15, 12:17] = True
    volumes.save(np.where(region, 700, voxels).astype(np.int16), tmp_path / "ct.nii.gz", affine)
    save_mask(region, tmp_path / "mask.nii.gz", scan)
    return region


def test_a_region_of_another_scan_is_woven(
    pair: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["weave", "scan.nii.gz", "--with", "ct=ct.nii.gz=mask.nii.gz", "--feather", "0"]
    words += ["-o", "out/", "--preview", "out/p.png", "--record", "r.json", "--json", "--force"]
    assert main(words) == 0
    told = capsys.readouterr()
    line = json.loads(told.out)
    assert line["output"] == "out/scan_woven.nii.gz"
    assert line["regions"][0]["after"]["mean"] == 700
    assert "from ct: " in told.err
    assert "spreads" not in told.err
    before, after = (nib.load(name).get_fdata() for name in ("scan.nii.gz", line["output"]))
    assert np.array_equal(after, np.where(pair, 700, before))
    text = Path("r.json").read_text()
    record = json.loads(text)
    assert len(record["inputs"]) == 3
    assert len(record["outputs"]) == 4
    assert "ct.nii.gz" not in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--with", "ct.nii.gz"], 2, "--with ct.nii.gz: says no mask; write ct.nii.gz=MASK"),
        (["--with", "ct.nii.gz=gone.nii.gz"], 4, "gone.nii.gz"),
        (["--with", "mri:t1=ct.nii.gz=mask.nii.gz"], 4, "which its numbers contradict"),
        (["--with", "pet=ct.nii.gz=mask.nii.gz"], 2, "'pet' is not one of text, xray"),
        (["--with", "ct.nii.gz=mask.nii.gz", "--box", "1,2,3,4,5,6"], 2, "--box: is for concepts"),
        (["--with", "ct.nii.gz=mask.nii.gz", "--steps", "9"], 2, "--steps: is for concepts"),
        (["--with", "ct.nii.gz=mask.nii.gz", "--feather", "-1"], 2, "choose 0 or more"),
    ],
)
def test_what_no_other_scan_can_lend(
    pair: np.ndarray,
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = set(tmp_path.iterdir())
    assert main(["weave", "scan.nii.gz", *words, "-o", "o.nii.gz"]) == code
    told = capsys.readouterr().err.strip()
    assert message in told
    assert len(told.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before
