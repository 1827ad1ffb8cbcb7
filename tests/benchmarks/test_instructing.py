"""What is said of references and of refining: measures that know the answer, tables, goals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets.basic_unet import BasicUNet
from PIL import Image

from benchmarks.instructing import OURS, PART, alike, as_radiograph, instructions, look_distance
from benchmarks.instructing_tables import instructing_goals, instructing_tables
from benchmarks.readers import CONTEXT
from benchmarks.refining import OURS as REFINER
from benchmarks.refining import Bench, cubic, refinings
from benchmarks.rows import Row, Store
from benchmarks.train_flows import TRAINING
from medgen.data.manifest import write_manifest
from medgen.data.study import Study
from medgen.instruct.appearance import APPEARANCES
from medgen.instruct.refiner import halved, interpolated
from medgen.modality import Kind, Modality


def row(part: str, subject: str, method: str, **scores: float) -> Row:
    return Row(part, subject, "", "xray", method, scores, 0.0, "", "")


def followed(task: str, method: str, way: str, right: float) -> Row:
    scores = {"right": right, "distance": 0.2, "kernel": 2.0, "facts": 0.3, "n": 48.0}
    return Row(PART, task, way, "xray", method, scores, 0.0, "", "")


ROWS = [
    row(PART, "binding", OURS, look=1.0, anatomy=0.9, swapped=0.8, patient=0.7),
    row(PART, "ignored", OURS, difference=0.0),
    followed("look", "single-task look", "raw", 0.9),
    followed("anatomy+look", "single-task look", "raw", 0.125),
    followed("anatomy+look", "multi-task", "raw", 0.25),
    followed("anatomy+look", "instruction", "encoded", 0.5),
    row(PART, "none", "text alone", facts=0.5, kernel=1.0),
]
REFINED = [row("refine", "simulated", REFINER, psnr=40.0, ssim=0.9, detail=0.8, halved=1e-7)]


def blobs(seed: int) -> np.ndarray:
    """A smooth picture that differs by its seed."""
    coarse = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, (128, 128), mode="bicubic")
    return smooth.clamp(-1, 1)[0, 0].numpy()


def test_a_look_is_nearer_to_its_own_whatever_it_shows() -> None:
    draw = torch.Generator().manual_seed(0)
    looks = {
        name: [APPEARANCES[name](torch.from_numpy(blobs(seed))[None], draw)[0].numpy()
               for seed in (0, 1)]
        for name in ("dark", "bright")
    }  # fmt: skip
    (dark, dark_too), (_, bright_too) = looks["dark"], looks["bright"]
    assert look_distance(dark, dark_too) < look_distance(dark, bright_too)
    assert alike(dark, looks["bright"][0]) > 0.5 > alike(dark, dark_too)


def test_a_picture_is_a_radiograph_of_its_greys() -> None:
    voxels = as_radiograph(np.array([[-1.0, 0.0], [1.0, 0.0]])).voxels
    assert voxels.tolist() == [[0, 2047], [4095, 2047]]


def test_interpolation_keeps_what_is_plain() -> None:
    ramp = torch.linspace(-0.5, 0.5, 32).expand(1, 1, 32, 32)
    made = interpolated(halved(ramp))[..., 6:-6]
    torch.testing.assert_close(made, ramp[..., 6:-6], atol=1e-5, rtol=0)
    grey = torch.full((1, 1, 8, 8), 0.3)
    torch.testing.assert_close(cubic(halved(grey)), grey)


def test_a_plain_unet_learns_though_scores_need_no_gradients(tmp_path: Path) -> None:
    grey = ((blobs(0) + 1) / 2 * 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "xray.png")
    study = Study("one", "one", images={Kind(Modality.XRAY): tmp_path / "xray.png"})
    write_manifest([study], tmp_path / TRAINING)
    bench = Bench(tmp_path, "flows", tmp_path, minutes=1e-4, side=128)
    with torch.no_grad():
        learned = bench.plain_unet.state_dict()
        torch.manual_seed(0)
        begun = BasicUNet(2, 1, 1, features=(24, 24, 48, 96, 96, 24)).state_dict()
    assert any(not torch.equal(learned[name], begun[name]) for name in begun)


def test_tables_and_goals() -> None:
    binding, rest, raw, doubled = instructing_tables(ROWS, REFINED)
    assert binding.lines == [[OURS, 1.0, 0.9, 0.8, 0.7]]
    assert rest.lines == [["difference", 0.0]]
    assert [line[:3] for line in raw.lines] == [
        ["none", "text alone", None],
        ["look", "single-task look", 0.9],
        ["anatomy+look", "single-task look", 0.125],
        ["anatomy+look", "multi-task", 0.25],
        ["anatomy+look", "instruction", 0.5],
    ]
    assert raw.lines[1][4] is None
    assert raw.lines[0][6] == 0.5
    assert doubled.lines == [["simulated: refiner", 40.0, 0.9, 0.8, 1e-7]]
    reached = [goal.is_reached for goal in instructing_goals(ROWS, REFINED)]
    assert reached == [True, True, None, True, True]
    assert instructing_goals(ROWS, REFINED)[3].value == 0.25
    later = [
        followed("anatomy+look", f"{name}, {CONTEXT}", way, right)
        for name, way, right in (("instruction", "encoded", 0.3), ("multi-task", "raw", 0.4))
    ]
    assert instructing_goals(ROWS + later, REFINED)[3].value == pytest.approx(-0.1)
    assert all(not table.lines for table in instructing_tables([], []))


def test_nothing_is_measured_without_such_parts_or_studies(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not list(refinings(tmp_path, "base", tmp_path, store))
    assert not list(instructions("base", tmp_path, store))
    assert not list(refinings(tmp_path, "flows", tmp_path, store))
