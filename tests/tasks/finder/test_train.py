"""A finder goes on: it learns to read CTs beside the radiographs that it reads."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from medgen.config import from_mapping
from medgen.data.standard import StandardConfig
from medgen.data.study import Split
from medgen.encoders.finder import Finder, FinderConfig
from medgen.errors import UsageError
from medgen.finding import Presence
from medgen.io import files
from medgen.modality import Kind
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.model import load_finder
from medgen.tasks.finder.studies import finder_studies, learned_and_held
from medgen.tasks.finder.train import _known, train_finder
from medgen.tasks.fitting.distributed import World
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.report import rows_of
from medgen.tasks.reporting.config import ReportConfig
from tests.tasks.align_toy import PLACES
from tests.tasks.report_toy import FINDER

KINDS = {"xray": "png", "ct": "nii.gz"}


def write_studies(folder: Path, radiographs: Path) -> Path:
    """The radiographs with a square in one corner, each with a CT of it; their manifest."""
    rows = []
    for number, (text, (row, column)) in enumerate(PLACES.items()):
        voxels = np.full((32, 32, 32), -1000, np.int16)
        voxels[4:-4, 4:-4, 2:-2] = 0
        # A radiograph shows the patient's right first; so do these voxels, as x falls along them.
        first, top = 4 * column, 32 - 4 * row
        voxels[first : first + 8, 12:20, top - 8 : top] = 1500
        image = nib.Nifti1Image(voxels, np.diag([-4.0, -4, 4, 1]))
        nib.save(image, folder / f"{number}.nii.gz")
        (folder / f"{number}.png").write_bytes((radiographs / f"{number}.png").read_bytes())
        (folder / f"{number}.txt").write_text(text)
        names = {kind: f"{number}.{suffix}" for kind, suffix in KINDS.items()}
        rows.append({"id": f"s{number}", "patient": f"p{number}", "text": f"{number}.txt", **names})
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def going_on(corner_reports: SimpleNamespace, **finder: Any) -> FinderTrainConfig:
    wanted = FINDER | {
        "init": str(corner_reports.model),
        "standard": {"shape": [16, 16, 16], "spacings": [8.0]},
        "finder": {"kinds": ["xray", "ct"], **finder},
    }
    return from_mapping(FinderTrainConfig, wanted)


@pytest.mark.slow
def test_it_reads_another_modality_and_forgets_none(
    corner_reports: SimpleNamespace, tmp_path: Path
) -> None:
    manifest = write_studies(tmp_path, corner_reports.studies)
    config = going_on(corner_reports)
    for _ in train_finder(config, tmp_path / "run", manifest=manifest):
        pass
    device = torch.device("cpu")
    before = load_finder(corner_reports.model, device)
    after = load_finder(tmp_path / "run" / MODEL, device)
    kinds = (*before.finder.config.kinds, "ct")
    assert after.finder.config == replace(before.finder.config, kinds=kinds)
    assert (after.standard.side, after.standard.shape) == (before.standard.side, (16, 16, 16))
    assert set(after.calibration.foreign) == set(KINDS)
    asked = ReportConfig(model=str(tmp_path / "run" / MODEL), device="cpu")
    for number, text in enumerate(PLACES):
        images = [
            replace(files.read(tmp_path / f"{number}.{suffix}"), kind=Kind.parse(kind))
            for kind, suffix in KINDS.items()
        ]
        for shown in ([images[0]], [images[1]], images):
            best = rows_of(shown, asked)[0]
            assert best.finding.presence is Presence.PRESENT
            assert str(best.finding.side) in text


def test_it_keeps_its_shape(corner_reports: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has another shape"):
        next(
            train_finder(
                going_on(corner_reports, width=64), tmp_path, manifest=corner_reports.manifest
            )
        )


def test_it_keeps_its_views(corner_reports: SimpleNamespace, tmp_path: Path) -> None:
    config = going_on(corner_reports)
    config = replace(config, standard=replace(config.standard, side=64))
    with pytest.raises(UsageError, match=r"standard\.side: .* sees views of 32; leave it out"):
        next(train_finder(config, tmp_path, manifest=corner_reports.manifest))


def test_a_finding_without_a_side_is_claimed_without_one(tmp_path: Path) -> None:
    config = replace(FinderTrainConfig(), finder=FinderConfig(claims=("cardiomegaly:left",)))
    with pytest.raises(UsageError, match="'cardiomegaly:left': this finding has no side; leave it"):
        next(train_finder(config, tmp_path / "run", manifest=tmp_path / "m.jsonl"))


def test_one_process_alone_trains_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several = World(0, 2, torch.device("cpu"))
    monkeypatch.setattr("medgen.tasks.finder.train.join", lambda device: several)
    with pytest.raises(UsageError, match="in one process; start it without torchrun"):
        next(train_finder(FinderTrainConfig(), tmp_path / "run", manifest=tmp_path / "m.jsonl"))
    assert not (tmp_path / "run").exists()


def write_sides(folder: Path, count: int = 6) -> Path:
    """Noisy radiographs, each with one from the side; their manifest."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(1)
    rows = []
    for number in range(count):
        row = {"id": f"s{number}", "patient": f"p{number}", "text": f"{number}.txt"}
        for kind in ("xray", "xray:lateral"):
            row[kind] = f"{number}.{kind[-4:]}.png"
            Image.fromarray(generator.integers(0, 255, (32, 32), np.uint8)).save(folder / row[kind])
        (folder / f"{number}.txt").write_text("Left pleural effusion." if number % 2 else "Normal.")
        rows.append(row)
    path = folder / "sides.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def small(*kinds: str, **more: Any) -> FinderTrainConfig:
    shape: dict[str, Any] = {"kinds": kinds}
    if "init" not in more:
        shape |= {"widths": [8, 8], "width": 16}
    fit = {"steps": 2, "batch": 4, "learning_rate": 0.1, "warmup": 1}
    return from_mapping(
        FinderTrainConfig, {"standard": {"side": 32}, "finder": shape, "fit": fit} | more
    )


def test_a_new_view_begins_as_the_known_one_and_what_is_frozen_stays(tmp_path: Path) -> None:
    manifest, device = write_sides(tmp_path), torch.device("cpu")
    for _ in train_finder(small("xray"), tmp_path / "front", manifest=manifest):
        pass
    front = load_finder(tmp_path / "front" / MODEL, device)
    assert set(front.usual) == {"xray"}
    init = str(tmp_path / "front" / MODEL)
    still = ["query", "key", "value", "answer", "bias", "louder", "stacks.xray"]
    others = write_sides(tmp_path / "others")
    wanted = small("xray", "xray:lateral", init=init, freeze=still, calibrate=str(others))
    shape = replace(front.finder.config, kinds=wanted.finder.kinds)
    known = _known(front.finder, Finder(shape))
    was = front.finder.state_dict()
    like = {name: name.replace("stacks.xray.", "stacks.xray:lateral.") for name in was}
    assert all(torch.equal(known[like[name]], was[name]) for name in was)
    for _ in train_finder(wanted, tmp_path / "both", manifest=manifest):
        pass
    both = load_finder(tmp_path / "both" / MODEL, device)
    now = both.finder.state_dict()
    assert all(torch.equal(now[name], was[name]) for name in was)  # statistics of images as well
    stack = [name for name in was if like[name] != name and name.endswith("weight")]
    assert not any(torch.equal(now[like[name]], was[name]) for name in stack)
    assert set(both.calibration.foreign) == {"xray", "xray:lateral"}


@torch.no_grad()
def test_claims_that_are_new_stand_behind_those_that_are_known() -> None:
    torch.manual_seed(0)
    shape = FinderConfig(("mass:left", "oedema"), ("upper_lobe",), widths=(8, 8), width=16)
    more = replace(shape, claims=(*shape.claims, "infarct:left"), regions=("upper_lobe", "frontal"))
    before, after = Finder(shape).eval(), Finder(more).eval()
    fresh = after.query[2].clone()
    after.load_state_dict(_known(before, after))
    image = torch.randn(2, 1, 16, 16)
    one, other = (each(each.tokens(Kind.parse("xray"), image)) for each in (before, after))
    torch.testing.assert_close(other.odds[:, :2], one.odds)
    torch.testing.assert_close(other.state[:, :2], one.state)
    torch.testing.assert_close(other.region[:, :2, :1], one.region)
    assert torch.equal(after.query[2], fresh)


def test_a_finder_that_grows_asks_about_what_is_new(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = write_sides(tmp_path)
    for _ in train_finder(small("xray"), tmp_path / "first", manifest=manifest):
        pass
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("Infarct in the left frontal lobe.")
    for grows in (False, True):
        wanted = small("xray", init=str(tmp_path / "first" / MODEL), grows=grows)
        for _ in train_finder(wanted, tmp_path / f"{grows}", manifest=manifest):
            pass
        found = load_finder(tmp_path / f"{grows}" / MODEL, torch.device("cpu")).finder.config
        new = ("infarct:left",) if grows else ()
        assert found.claims == ("pleural_effusion:left", *new)
        assert found.regions == ("frontal",)  # it knew none
    assert caplog.text.count("does not ask about infarct:left") == 1
    assert "grows=true" in caplog.text


def test_what_calibrates_is_not_learned_from(tmp_path: Path) -> None:
    manifest = write_sides(tmp_path)
    config = small("xray", calibrate=str(manifest))
    with pytest.raises(UsageError, match=r"0\.xray\.png is learned from as well; name other pat"):
        next(iter(train_finder(config, tmp_path / "run", manifest=manifest)))
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows:
        row["split"] = "validation" if row["id"] > "s3" else "train"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    held = finder_studies(config, manifest, wants_masks=False, split=Split.VALIDATION)
    assert [study.id for study in held] == ["s4", "s5"]
    for _ in train_finder(config, tmp_path / "run", manifest=manifest):
        pass
    unused = [json.dumps(row | {"split": "test"}) for row in rows]
    manifest.write_text("\n".join(unused))
    with pytest.raises(UsageError, match="no study to calibrate with has xray"):
        finder_studies(config, manifest, wants_masks=False, split=Split.VALIDATION)


def test_no_patient_both_teaches_and_calibrates(tmp_path: Path) -> None:
    manifest = write_sides(tmp_path, 22)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    twice = [row | {"patient": f"p{at // 2}"} for at, row in enumerate(rows)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in twice))
    learned, held = learned_and_held(small("xray"), manifest, wants_masks=False)
    assert [study.id for study in held] == ["s18", "s19"]  # those of the tenth patient
    assert [study.id for study in learned] == [f"s{at}" for at in (*range(18), 20, 21)]


def test_of_each_view_only_its_own_masks_count(tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 255, (16, 16), np.uint8)
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("xray", "lateral"):
        Image.fromarray(grey).save(tmp_path / f"{name}.png")
    (tmp_path / "report.txt").write_text("Left pleural effusion.")
    row = {"id": "s", "patient": "p", "xray": "xray.png", "xray:lateral": "lateral.png"}
    row |= {"text": "report.txt", "masks": "masks"}
    (tmp_path / "m.jsonl").write_text(json.dumps(row) + "\n")
    config = FinderTrainConfig(
        finder=FinderConfig(kinds=("xray", "xray:lateral")), standard=StandardConfig(side=16)
    )

    def drawn() -> list[set[str] | None]:
        (study,) = finder_studies(config, tmp_path / "m.jsonl", wants_masks=True)
        return [None if one.masks is None else set(one.masks) for one in study.images]

    assert drawn() == [set(), set()]  # a folder without a mask: nothing is to be seen
    Image.fromarray(grey // 128).save(masks / "pleural_effusion.png")
    assert drawn() == [{"pleural_effusion"}, None]
    Image.fromarray(grey // 128).save(masks / "mass.lateral.png")
    assert drawn() == [{"pleural_effusion"}, {"mass"}]
