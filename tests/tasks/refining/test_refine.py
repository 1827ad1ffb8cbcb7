"""What is refined has twice the resolution, and halves to what it was, down to the file."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from medgen.cli import app
from medgen.config import from_mapping
from medgen.data.manifest import read_manifest
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.errors import ModelError, UsageError
from medgen.instruct.refiner import Refiner, RefinerConfig, halved
from medgen.io import files
from medgen.modality import Kind, Modality
from medgen.tasks import generate
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.refining.model import load_refiner
from medgen.tasks.refining.refine import refined
from medgen.tasks.refining.train import RefineTrainConfig, _fine_studies, train_refiner
from medgen.tasks.refining.volume import doubled, refined_volume
from medgen.tasks.translator.translation import unit_of

FIT = FitConfig(steps=3, batch=2, learning_rate=3e-3, warmup=0, ema_decay=0.0)
SHAPE = {"side": 64, "patch": 32, "refiner": {"widths": [8, 16]}}


def config_of(init: Path, **more: object) -> RefineTrainConfig:
    config = from_mapping(RefineTrainConfig, {**SHAPE, "init": str(init)})
    return replace(config, **{"fit": FIT, **more})


@pytest.fixture(scope="module")
def refines(corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a refiner of radiographs."""
    out = tmp_path_factory.mktemp("refines")
    rows = []
    for at in range(2):
        grain = np.random.default_rng(at).integers(0, 256, (64, 64), np.uint8)
        Image.fromarray(grain).save(out / f"{at}.png")
        rows.append({"id": f"s{at}", "patient": f"p{at}", "xray": f"{at}.png"})
    manifest = out / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for _ in train_refiner(config_of(corner_flows.model), out / "run", manifest=manifest):
        pass
    return out / "run" / "model"


def run(*words: object) -> int:
    return app.main([*map(str, words)])


def test_a_file_halves_to_the_file_without(refines: Path, tmp_path: Path) -> None:
    more = ["--text", "Mass in the left upper lobe.", "--model", refines, "--device", "cpu"]
    more += ["--steps", 2, "--seed", 4]
    assert run("generate", *more, "-o", tmp_path / "low.png") == 0
    assert run("generate", *more, "-o", tmp_path / "fine.png", "--refine") == 0
    low, fine = (np.asarray(Image.open(tmp_path / name)) for name in ("low.png", "fine.png"))
    assert fine.shape == (64, 64)
    halves = fine.reshape(32, 2, 32, 2).mean((1, 3))
    assert np.abs(halves - low).max() <= 1e-3 * 4095
    assert np.abs(fine - low.repeat(2, 0).repeat(2, 1).astype(float)).max() > 4
    assert json.loads((tmp_path / "fine.json").read_text())["RefineSteps"] == 4


def test_a_model_without_one_says_how_to_train_it(
    corner_flows: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--text", "Mass.", "--model", corner_flows.model, "--refine", "-o", tmp_path / "out"]
    assert run("generate", *words) == 5
    assert "train it: --round refine:xray" in capsys.readouterr().err


def test_images_without_details_teach_nothing(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="4 are coarser"):
        list(
            train_refiner(
                config_of(corner_flows.model, side=128), tmp_path, manifest=corner_flows.manifest
            )
        )


def test_a_body_that_is_wide_is_learned_at_its_full_resolution(
    corner_flows: SimpleNamespace, volumes: SimpleNamespace, tmp_path: Path
) -> None:
    """180 mm from side to side, at 1 mm: a flow would take it at 3 mm."""
    volumes.save(volumes.head("ct", (180, 180, 24)), tmp_path / "ct.nii.gz", np.eye(4))
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"id": "s", "patient": "p", "ct": "ct.nii.gz"}) + "\n")
    config = config_of(corner_flows.model, modality=Modality.CT, spacing=1.0)
    (study,) = _fine_studies(config, read_manifest(manifest))
    assert tuple(study.images[0].shape) == (1, 180, 180, 24)
    for _ in train_refiner(config, tmp_path / "run", manifest=manifest):
        pass
    refiner = load_refiner(tmp_path / "run" / "model", Modality.CT, torch.device("cpu"))
    assert refiner.config.spacing == 1.0


def test_a_volume_of_other_voxels_is_not_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = SimpleNamespace(config=RefinerConfig(3, spacing=1.0))
    monkeypatch.setattr(generate, "load_refiner", lambda *given: fine)
    asked, cpu = GenerateConfig("ct"), torch.device("cpu")
    generate._check_refined(asked, 2.0, cpu)
    with pytest.raises(UsageError, match=r"refines ct from 2 mm, not from 3; try --spacing 2"):
        generate._check_refined(asked, 3.0, cpu)


def test_it_is_a_part_of_a_model(refines: Path, corner_flows: SimpleNamespace) -> None:
    cpu = torch.device("cpu")
    assert load_refiner(refines, Modality.XRAY, cpu).config.detail > 0.1
    with pytest.raises(ModelError, match="cannot refine ct"):
        load_refiner(refines, Modality.CT, cpu)


@torch.no_grad()
def test_patches_share_their_noise_and_keep_the_means() -> None:
    """A volume that is larger than a patch; the same again, bit for bit."""
    torch.manual_seed(0)
    refiner = Refiner(RefinerConfig(3, embedding=4, widths=(8, 8), detail=0.3)).eval()
    low = 2 * torch.rand(1, 1, 70, 8, 8) - 1
    one, again = (refined(low, torch.zeros(1, 4), refiner, steps=2, seeds=[5]) for _ in range(2))
    assert torch.equal(one, again)
    assert one.shape == (1, 1, 140, 16, 16)
    torch.testing.assert_close(halved(one), low, atol=1e-5, rtol=0)


def test_a_volume_keeps_what_is_coarse(volumes: SimpleNamespace, tmp_path: Path) -> None:
    """On the coarse grid, a refined CT is the CT, whatever its details."""
    torch.manual_seed(0)
    config = RefinerConfig(3, embedding=4, widths=(8, 8), detail=0.2, spacing=2.0)
    path = volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz", np.diag([2.0, 2, 2, 1]))
    image, ct = files.read(path), Kind(Modality.CT)
    made = refined_volume(image, ct, Refiner(config).eval(), torch.zeros(1, 4), steps=2, seed=0)
    assert np.abs(made - image.voxels).max() > 20  # HU: details are others
    coarse = isotropic_grid(Grid(image.voxels.shape, image.geometry), 4.0)
    wanted = unit_of(ct).normalise(resample(image.voxels, image.geometry, coarse, fill=-1000))
    fine = resample(made, image.geometry, doubled(coarse), fill=-1000)
    means = halved(torch.from_numpy(unit_of(ct).normalise(fine))[None, None])[0, 0].numpy()
    inner = (slice(1, -1),) * 3  # the outermost voxels lie beyond the image
    assert np.abs(means - wanted)[inner].max() <= 2e-3


def test_a_translation_is_refined_by_another_model(
    tiny_model: Path, volumes: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz", np.diag([4.0, 4, 4, 1]))
    words = [path, "--to", "ct", "--model", tiny_model, "--device", "cpu", "--refine"]
    assert run("translate", *words, "-o", tmp_path / "ct.nii.gz") == 5
    assert "cannot refine ct; train it: --round refine:ct" in capsys.readouterr().err
    assert run("translate", *words, "--to", "xray", "-o", tmp_path / "x.png") == 2
    assert "--refine is for one volume" in capsys.readouterr().err
