"""`medgen weave` and `medgen weave learn`, as scripts and people call them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from medgen.cli.app import main
from tests.tasks.weave_toy import corner_examples, dim_radiograph, save_mask

FEW = ["--steps", "3", "--device", "cpu", "--set", "batch=2", "--set", "views=1"]
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
    assert main(["weave", "scan.png", *words, *here.model]) == code
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert set(here.folder.iterdir()) == before


def test_places_go_to_concepts_in_their_order(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(here, "--instant") == 0
    words = ["weave", "scan.png", "--concept", "mass.concept", "--concept", "mass.concept=mask.png"]
    words += ["--concept", "mass.concept", "--box", "4,9,10,20", "--region", "heart"]
    labels = np.zeros((64, 64), np.uint8)
    labels[30:36, 30:36] = 51
    Image.fromarray(labels).save("seg.png")
    assert main([*words, "--labels", "seg.png", *here.model, "--steps", "2", "-o", "o.png"]) == 0
    mask = np.asarray(Image.open("o_mask.png"))
    assert (mask[4:10, 10:21] == 1).all()
    assert (mask[40:56, 8:24] == 2).all()
    assert (mask[30:36, 30:36] == 3).all()


def test_a_wrong_name_is_told_before_anything_is_learned(
    here: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn(here, "-o", "mass.safetensors") == 2
    assert "ends in .concept" in capsys.readouterr().err
