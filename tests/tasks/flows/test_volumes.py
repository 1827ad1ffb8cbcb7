"""Flows of volumes: from scans of any size to the model's grid, in HU and millimetres."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import torch

from medgen.checkpoint import read_card, save_model
from medgen.config import from_mapping
from medgen.errors import UsageError
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Contrast, Kind
from medgen.tasks.codecs.train import CodecTrainConfig, train_codec
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.conditions import SCAN, conditions_of, told_scan
from medgen.tasks.flows.flow import SOURCES
from medgen.tasks.flows.train import FlowTrainConfig, train_flow
from medgen.tasks.generate import generate, load_generator, understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.files import write_samples
from medgen.tasks.generating.requests import Request
from medgen.tasks.model_parts import parts_of
from tests.tasks.flow_toy import CONDITIONER, FIT

HEAD, CHEST = "Left frontal haemorrhage.", "Large left pleural effusion."
CODEC = {
    "modality": "ct",
    "patch": 16,
    "codec": {"spatial_dims": 3, "latent_channels": 4, "widths": [16, 16], "norm_groups": 4},
    "loss": {"adversarial": 0.0},
}
FLOW = {
    "modality": "ct",
    "grid": [8, 8, 8],
    "spacings": [2.0, 4.0],
    "patch": 2,
    "widths": [32, 32],
    "heads": 2,
    "conditioner": CONDITIONER,
}


@pytest.fixture(scope="module")
def begun(
    corner_flows: SimpleNamespace,
    volumes: SimpleNamespace,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model that has just begun to make CTs: of small heads at 2 mm, of larger ones at 4 mm."""
    return train(corner_flows, volumes, tmp_path_factory.mktemp("begun"), codec=1, flow=1)


@pytest.fixture(scope="module")
def made(
    corner_flows: SimpleNamespace,
    volumes: SimpleNamespace,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The same that has learned what they look like."""
    return train(corner_flows, volumes, tmp_path_factory.mktemp("made"), codec=400, flow=300)


def train(flows: SimpleNamespace, volumes: SimpleNamespace, folder: Path, **steps: int) -> Path:
    rows = []
    for at in range(4):
        shape, text = (((26, 24, 28), HEAD), ((52, 48, 56), CHEST))[at % 2]
        voxels = volumes.head("ct", shape) + 400 * (at % 2)  # those at 4 mm are brighter
        volumes.save(voxels, folder / f"s{at}" / "ct.nii.gz")
        (folder / f"s{at}" / "report.txt").write_text(text)
        row = {"id": f"s{at}", "patient": f"s{at}", "ct": f"s{at}/ct.nii.gz"}
        rows.append(row | {"text": f"s{at}/report.txt"})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fit = replace(FIT, steps=steps["codec"], batch=4, learning_rate=5e-3)
    codec = replace(from_mapping(CodecTrainConfig, CODEC), init=str(flows.codecs), fit=fit)
    list(train_codec(codec, folder / "codec", manifest=manifest))
    flow = replace(
        from_mapping(FlowTrainConfig, {"flow": FLOW}),
        init=str(folder / "codec" / MODEL),
        drop=0.5,
        fit=replace(FIT, steps=steps["flow"]),
    )
    list(train_flow(flow, folder / "flow", manifest=manifest))
    return folder / "flow" / MODEL


@pytest.mark.slow
def test_a_flow_goes_on_with_another_grid(begun: Path, tmp_path: Path) -> None:
    manifest = begun.parents[1] / "manifest.jsonl"
    shape = FLOW | {"grid": [12, 12, 12], "spacings": [2.0, 3.0]}
    fit = replace(FIT, steps=1)
    asked = replace(from_mapping(FlowTrainConfig, {"flow": shape}), init=str(begun), fit=fit)
    with pytest.raises(UsageError, match="has another shape"):
        list(train_flow(asked, tmp_path / "no", manifest=manifest))
    list(train_flow(replace(asked, regrid=True), tmp_path / "finer", manifest=manifest))
    config = GenerateConfig("ct", model=str(tmp_path / "finer" / MODEL), device="cpu", steps=2)
    config = replace(config, spacing=3.0)
    (sample,) = generate(understood(CHEST, config), [], config)
    assert sample.image.voxels.shape == (48, 48, 48)
    assert sample.image.geometry.spacing == (3.0, 3.0, 3.0)
    with pytest.raises(UsageError, match="only flows of volumes fit other grids"):
        FlowTrainConfig(regrid=True)


@pytest.mark.slow
def test_a_flow_goes_on_with_another_codec(begun: Path, tmp_path: Path) -> None:
    manifest = begun.parents[1] / "manifest.jsonl"
    fit = replace(FIT, steps=1)

    def with_codec(name: str, channels: int) -> str:
        shape = CODEC["codec"] | {"latent_channels": channels}
        asked = from_mapping(CodecTrainConfig, CODEC | {"name": name, "codec": shape})
        asked = replace(asked, init=str(begun), fit=fit)
        list(train_codec(asked, tmp_path / name, manifest=manifest))
        return str(tmp_path / name / MODEL)

    def going_on(name: str, channels: int) -> Path:
        asked = from_mapping(FlowTrainConfig, {"flow": FLOW | {"codec": name}, "regrid": True})
        asked = replace(asked, init=with_codec(name, channels), fit=fit)
        list(train_flow(asked, tmp_path / f"flow-{name}", manifest=manifest))
        return tmp_path / f"flow-{name}" / MODEL

    assert read_card(going_on("other", 4)).parts["flow-ct"].config["codec"] == "other"
    with pytest.raises(UsageError, match="regrid: the codec has 8 channels, and the flow makes 4"):
        going_on("wider", 8)


@pytest.mark.slow
def test_on_another_grid_it_knows_what_it_has_heard_there(begun: Path, tmp_path: Path) -> None:
    parts, configs, extra = parts_of(begun)
    knowing = replace(read_card(begun), extra=extra | {"findings-ct": ["mass"]})
    save_model(tmp_path / "knowing", knowing, parts, configs=configs)
    again = replace(
        from_mapping(FlowTrainConfig, {"flow": FLOW}),
        init=str(tmp_path / "knowing"),
        fit=replace(FIT, steps=1),
    )
    manifest = begun.parents[1] / "manifest.jsonl"
    heard = []
    for regrid in (False, True):
        out = tmp_path / str(regrid)
        list(train_flow(replace(again, regrid=regrid), out, manifest=manifest))
        heard.append(read_card(out / MODEL).extra["findings-ct"])
    assert heard == [["mass"], []]  # four studies are too few to learn a finding from


@pytest.mark.slow
def test_a_prompt_of_an_anatomy_that_no_flow_has_seen_is_refused(
    begun: Path, tmp_path: Path
) -> None:
    parts, configs, extra = parts_of(begun)
    knowing = replace(read_card(begun), extra=extra | {"findings-ct": ["pleural_effusion"]})
    save_model(tmp_path / "knowing", knowing, parts, configs=configs)
    config = GenerateConfig("ct", model=str(tmp_path / "knowing"), device="cpu")
    assert [one.name for one in understood(CHEST, config).findings] == ["pleural_effusion"]
    for text in (HEAD, "CT of the brain."):
        with pytest.raises(UsageError, match="ct of a chest, and the text speaks of a head; rewo"):
            understood(text, config)


@pytest.mark.slow
def test_a_flow_says_how_hard_it_is_pushed_if_nobody_does(made: Path, tmp_path: Path) -> None:
    asked = FlowTrainConfig(init=str(made), guidance=1.5, fit=replace(FIT, steps=1))
    asked = replace(asked, flow=from_mapping(FlowTrainConfig, {"flow": FLOW}).flow)
    list(train_flow(asked, tmp_path / "run", manifest=made.parents[1] / "manifest.jsonl"))
    again = replace(asked, init=str(tmp_path / "run" / MODEL), guidance=None)
    list(train_flow(again, tmp_path / "again", manifest=made.parents[1] / "manifest.jsonl"))
    calm = GenerateConfig("ct", model=str(tmp_path / "again" / MODEL), device="cpu", steps=2)

    def ct(config: GenerateConfig) -> np.ndarray:
        (sample,) = generate(understood(HEAD, config), [], config)
        return sample.image.voxels

    np.testing.assert_array_equal(ct(calm), ct(replace(calm, guidance=1.5)))
    assert not np.array_equal(ct(calm), ct(replace(calm, guidance=3.0)))
    with pytest.raises(UsageError, match="guidance is 0 or more"):
        FlowTrainConfig(guidance=-1.0)


ASKED = GenerateConfig(modality="ct", device="cpu", steps=12, guidance=1.0)


@pytest.fixture
def config(begun: Path) -> GenerateConfig:
    return replace(ASKED, model=str(begun), steps=2)


@pytest.mark.slow
def test_a_ct_has_the_grid_of_the_model_and_hu(made: Path) -> None:
    config = replace(ASKED, model=str(made))
    (sample,) = generate(understood(HEAD, config), [], config)
    assert sample.image.voxels.shape == (32, 32, 32)
    assert sample.image.geometry.spacing == (2.0, 2.0, 2.0)
    corner, middle = sample.image.voxels[0, 0, 0], sample.image.voxels[14:18, 14:18, 14:18].mean()
    assert corner < -600  # air
    assert -400 < middle < 600  # brain, about
    assert sample.agreement is None  # no encoder of CT


def test_the_prompt_decides_the_spacing_unless_it_is_given(config: GenerateConfig) -> None:
    loaded = load_generator(config)
    assert loaded.spacing(understood(HEAD, config), None) == 2.0
    assert loaded.spacing(understood(CHEST, config), None) == 4.0
    assert loaded.spacing(understood(CHEST, config), 2.0) == 2.0
    nothing = understood("Unremarkable.", config)
    with pytest.raises(UsageError, match="--spacing: say which, 2 or 4 mm"):
        loaded.spacing(nothing, None)
    with pytest.raises(UsageError, match="makes 2 or 4 mm"):
        loaded.spacing(nothing, 1.0)


@pytest.mark.parametrize(
    ("text", "spacing"),
    [
        ("CT of the head: unremarkable.", 2.0),
        ("Normal lungs.", 4.0),
        ("Small infarct. Lungs not shown.", 2.0),  # a finding says more than a word
    ],
)
def test_words_decide_where_no_finding_does(
    config: GenerateConfig, text: str, spacing: float
) -> None:
    assert load_generator(config).spacing(understood(text, config), None) == spacing


def test_an_image_decides_where_the_prompt_does_not(config: GenerateConfig) -> None:
    loaded = load_generator(config)
    seen = {"findings-xray": ["pneumothorax"], "findings-mri": ["infarct"]}
    loaded = replace(loaded, card=replace(loaded.card, extra=loaded.card.extra | seen))
    nothing = understood("", replace(config, unconditional=True))

    def like(*kinds: str) -> float | None:
        cube = np.arange(8.0).reshape(2, 2, 2)
        images = [
            MedicalImage(cube[0] if kind == "xray" else cube, Geometry(np.eye(4)), Kind.parse(kind))
            for kind in kinds
        ]
        return loaded.spacing(nothing, None, images)

    assert (like("xray"), like("mri:t1"), like("xray", "ct")) == (4.0, 2.0, 4.0)
    for unclear in (("ct",), ("xray", "mri:t1")):
        with pytest.raises(UsageError, match="--spacing: say which"):
            like(*unclear)
    assert loaded.spacing(understood(HEAD, config), None, []) == 2.0


@pytest.mark.slow
def test_the_scan_is_told(made: Path) -> None:
    """Same noise and no words: what is made is what was seen at that spacing."""
    config = replace(ASKED, model=str(made), unconditional=True)
    prompt = understood("", config)
    fine, coarse = (
        next(iter(generate(prompt, [], replace(config, spacing=spacing)))).image.voxels
        for spacing in (2.0, 4.0)
    )
    assert coarse.mean() - fine.mean() > 60  # 213 in the data


def test_a_scan_is_one_token_of_its_own_source() -> None:
    one, other = told_scan(2.0, Contrast.T2), told_scan(4.0)
    (condition,) = conditions_of([[one], [other]])
    assert SOURCES[condition.source] == SCAN
    assert condition.mask.tolist() == [[True], [True]]
    torch.testing.assert_close(condition.tokens[:, 0, 0], torch.tensor([1.0, 2.0]))
    assert condition.tokens[0, 0, 1:].sum() == 1
    assert condition.tokens[1, 0, 1:].sum() == 0


@pytest.mark.parametrize("form", ["nifti", "dicom"])
def test_files(config: GenerateConfig, tmp_path: Path, form: str) -> None:
    asked = replace(config, format=form)
    (written,) = write_samples(Request("head", HEAD), [], asked, tmp_path)
    assert written.output.name == {"nifti": "head-0001.nii.gz", "dicom": "head-0001"}[form]
    image = files.read(written.output)
    assert image.geometry.spacing == pytest.approx((2.0, 2.0, 2.0))
    (sample,) = generate(understood(HEAD, config), [], config)
    if form == "nifti":
        np.testing.assert_array_equal(image.voxels, sample.image.voxels)
    else:
        slices = [pydicom.dcmread(path) for path in written.output.iterdir()]
        assert len(slices) == 32
        assert all("synthetic" in str(one).lower() for one in slices)
    assert json.loads(written.sidecar.read_text())["SpacingMm"] == 2.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": "png"}, "ct is written as nifti or dicom"),
        ({"modality": "mri"}, "how it is weighted"),
        ({"modality": "xray", "spacing": 2.0}, "is for volumes"),
        ({"best_of": 2}, "needs a text, and an encoder of ct"),
    ],
)
def test_what_cannot_be_asked(config: GenerateConfig, changed: dict, message: str) -> None:
    def ask() -> None:
        asked = replace(config, **changed)
        next(iter(generate(understood(HEAD, asked), [], asked)))

    with pytest.raises(UsageError, match=message):
        ask()
