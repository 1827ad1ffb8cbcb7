"""Encoders learn where findings are from patches, then from whole images with their reports."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medgen.align.augment import AugmentConfig
from medgen.checkpoint import read_card
from medgen.data.standard import StandardConfig
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.text import TextEncoderConfig
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.tasks.align import align
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import EncodersConfig, load_aligner
from medgen.tasks.aligning.patches import PatchItems
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.studies import ReadStudy

XRAY = Modality.XRAY
STILL = AugmentConfig(degrees=0, zoom=0, shift=0, gamma=0, contrast=0, blur=0, noise=0, erase=0)
IMAGE = ImageEncoderConfig(2, 1, (8, 16), width=16, layers=1, heads=2, embedding=16)
CONFIG = AlignConfig(
    train=("text", "xray"),
    vocabulary=300,
    invariant=0.0,
    standard=StandardConfig(side=32, shape=(8, 8, 8), spacings=(8.0,)),
    encoders=EncodersConfig(
        text=TextEncoderConfig(max_tokens=48, width=16, layers=1, heads=2, embedding=16),
        xray=IMAGE,
        ct=replace(IMAGE, spatial_dims=3, in_channels=4),
        mri=replace(IMAGE, spatial_dims=3),
    ),
    fit=FitConfig(steps=2, batch=4, learning_rate=1e-2, warmup=5, ema_decay=0.9, log_every=1),
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight radiographs with a bright or a dim square somewhere, a mask of it, and a report."""
    folder = tmp_path_factory.mktemp("studies")
    random = np.random.default_rng(0)
    rows = []
    for number in range(8):
        name, level = (("mass", 250), ("effusion", 140))[number % 2]
        grey, mask = np.full((64, 64), 40, np.uint8), np.zeros((64, 64), np.uint8)
        row, column = random.integers(0, 48, 2)
        mask[row : row + 16, column : column + 16] = 1
        grey[mask > 0] = level
        grey[:2, :2] = 255  # the same white in all
        (folder / f"masks-{number}").mkdir()
        Image.fromarray(mask).save(folder / f"masks-{number}" / f"{name}.png")
        Image.fromarray(grey).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"{name.capitalize()} in row {row}.")
        files = {"xray": f"{number}.png", "text": f"{number}.txt", "masks": f"masks-{number}"}
        rows.append({"id": f"s{number}", "patient": f"p{number}", **files})
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_patch_carries_its_own_part_of_the_masks() -> None:
    mask = torch.zeros(16, 16)
    mask[9:12, 3:5] = 1
    image = mask.repeat_interleave(2, 0).repeat_interleave(2, 1)[None] * 2 - 1
    study = ReadStudy("s", None, {XRAY: [image]}, 0, masks={XRAY: [{"mass": mask}]})
    items = PatchItems([study], (XRAY,), ("effusion", "mass"), 8, STILL, 0)
    shown = 0
    for number in range(40):
        view, masks = items(number)[XRAY]
        assert view.shape == (1, 8, 8)
        assert not masks[0].any()
        torch.testing.assert_close((view[0, ::2, ::2] + 1) / 2, masks[1])
        shown += bool(masks[1].any())
    assert shown > 20  # 60 % are around it, and some of the others meet it


def test_patches_teach_what_findings_look_like(manifest: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, train=("xray",), patch=16, fit=replace(CONFIG.fit, steps=60))
    first, *_, last = align(config, tmp_path / "run", manifest=manifest)
    assert set(first.loss) == {"total", "grounding-xray"}
    assert last.loss["grounding-xray"] < 0.4 * first.loss["grounding-xray"]
    card = read_card(tmp_path / "run" / MODEL)
    assert set(card.parts) == {"text", "xray", "temperature"}  # and no heads
    loaded = load_aligner(tmp_path / "run" / MODEL, torch.device("cpu"))
    assert set(loaded.aligner.encoders) == {"text", "xray"}


def test_whole_images_are_grounded_beside_their_reports(manifest: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, fit=replace(CONFIG.fit, steps=40))
    first, *_, last = align(config, tmp_path / "run", manifest=manifest)
    assert set(first.loss) == {"total", "text-xray", "grounding-xray"}
    total = first.loss["text-xray"] + config.grounding * first.loss["grounding-xray"]
    assert first.loss["total"] == pytest.approx(total)
    assert last.loss["grounding-xray"] < 0.7 * first.loss["grounding-xray"]


def test_a_run_with_masks_resumes_to_the_same_bits(manifest: Path, tmp_path: Path) -> None:
    list(align(CONFIG, tmp_path / "whole", manifest=manifest))
    first = align(CONFIG, tmp_path / "parts", manifest=manifest)
    assert next(first).step == 1
    first.close()  # type: ignore[attr-defined]
    list(align(CONFIG, tmp_path / "parts", manifest=manifest, resume=True))
    one, two = (read_card(tmp_path / name / MODEL).parts for name in ("whole", "parts"))
    assert one == two


def test_patches_without_masks_are_refused(manifest: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    bare = manifest.parent / "bare.jsonl"
    bare.write_text("".join(json.dumps(row | {"masks": None}) + "\n" for row in rows))
    with pytest.raises(UsageError, match="masks"):
        list(align(replace(CONFIG, patch=16), tmp_path / "run", manifest=bare))
    assert not (tmp_path / "run").exists()


def test_a_mask_of_another_size_leaves_its_study_out(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    wrong = manifest.parent / "wrong"
    wrong.mkdir()
    Image.fromarray(np.eye(32, dtype=np.uint8)).save(wrong / "mass.png")
    listed = manifest.parent / "wrong.jsonl"
    rows[0]["masks"] = "wrong"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    list(align(replace(CONFIG, max_bad=0.2), tmp_path / "run", manifest=listed))
    assert "s0: left out" in caplog.text
    assert "(32, 32) pixels" in caplog.text
