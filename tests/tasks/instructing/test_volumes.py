"""References of volumes: on one grid where they say what is where, refused where they cannot be."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medgen.config import from_mapping
from medgen.errors import InputError, UsageError
from medgen.instruct.instruction import Instruction
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.generate import generate, understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.instructing.references import deep_pictures, read_references
from medgen.tasks.instructing.train import InstructTrainConfig, train_instruct
from tests.tasks.world_toy import SIDE

SHAPE = (16, 16, 16)
Saved = Callable[..., str]


@pytest.fixture
def saved(volumes: SimpleNamespace, tmp_path: Path) -> Saved:
    """A head of a kind as a file, `shift` mm to the right."""

    def save(name: str, kind: str = "ct", shift: float = 0.0, mask: bool = False) -> str:
        voxels = volumes.head(kind, (26, 24, 28))
        if mask:
            voxels = (voxels > voxels.mean()).astype(np.int16)
        affine = np.diag([4.0, 4, 4, 1])
        affine[0, 3] = shift
        return str(volumes.save(voxels, tmp_path / f"{name}.nii.gz", affine))

    return save


def pictures(*words: str, findings: tuple[str, ...] = ("mass",)) -> list[np.ndarray]:
    text = " ".join(f"[ref#{at}]" for at in range(1, len(words) + 1))
    references = read_references(Instruction.parse(text, words))
    return [one.numpy() for one in deep_pictures(references, SHAPE, 8.0, findings)]


def test_what_says_where_lies_on_the_grid_of_the_anatomy(
    saved: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    labels, same = saved("labels", mask=True), saved("region", mask=True)
    moved = saved("moved", mask=True, shift=16.0)
    drawn, here, there = pictures(f"1={labels}:anatomy", f"2={same}:region", f"3={moved}:region")
    assert np.array_equal(drawn, here)  # label 1 of one is white, and so is a mask
    assert "lies on another grid than" in caplog.text
    assert np.array_equal(there[:, 2:], here[:, :-2])  # 16 mm are two voxels


def test_what_lies_elsewhere_is_refused(saved: Saved, caplog: pytest.LogCaptureFixture) -> None:
    labels, far = saved("labels", mask=True), saved("far", mask=True, shift=500.0)
    with pytest.raises(InputError, match="covers 0% of the first image"):
        pictures(f"1={labels}:anatomy", f"2={far}:region")
    with caplog.at_level(logging.WARNING):
        alone = pictures(f"1={saved('s', shift=500.0)}:subject")[0]
        beside = pictures(f"1={labels}:anatomy", f"2={saved('s', shift=500.0)}:subject")[1]
    assert "lies elsewhere than" in caplog.text
    assert np.array_equal(alone, beside)


def test_a_look_has_no_place(saved: Saved) -> None:
    labels, far = saved("labels", mask=True), saved("far", shift=500.0)
    (alone,) = pictures(f"1={far}:look")
    assert np.array_equal(pictures(f"1={labels}:anatomy", f"2={far}:look")[1], alone)


def test_a_subject_is_shown_without_what_lies_in_a_region(saved: Saved) -> None:
    """As in training: what is made anew there cannot be copied."""
    scan, mask = saved("scan"), saved("region", mask=True)
    (whole,) = pictures(f"1={scan}:subject")
    region, cut = pictures(f"1={mask}:region", f"2={scan}:subject")
    inside = region > 0
    assert 0 < inside.sum() < inside.size
    assert (cut[inside] == 0).all()
    assert np.array_equal(cut[~inside], whole[~inside])
    far = pictures(f"1={mask}:region", f"2={saved('far', shift=500.0)}:subject")[1]
    assert np.array_equal(far, pictures(f"1={saved('far', shift=500.0)}:subject")[0])


def test_unknown_labels_are_listed(saved: Saved) -> None:
    with pytest.raises(InputError, match=r"labels 1 are unknown; this model knows none"):
        pictures(f"1={saved('labels', mask=True)}:anatomy", findings=())


def test_numbers_must_be_what_a_scan_is_said_to_be(saved: Saved) -> None:
    with pytest.raises(InputError, match="given as CT but holds no HU"):
        pictures(f"1=ct={saved('mri', kind='mri')}:look")
    with pytest.raises(InputError, match="given as MRI but holds HU"):
        pictures(f"1=mri:t1={saved('ct')}:look")


def test_a_mask_in_the_role_of_a_scan_is_told(
    saved: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    mask, scan = saved("mask", mask=True), saved("scan")
    read_references(
        Instruction.parse("in the look of [ref#1] and [ref#2]", [f"1={mask}", f"2={scan}"])
    )
    (said,) = caplog.messages
    assert said.startswith(f"--ref 1={mask}: has 2 different numbers, as masks and label maps have")
    assert f"1={mask}:region or 1={mask}:anatomy, or 1=KIND={mask}" in said
    caplog.clear()
    for word in (f"1={mask}:region", f"1={mask}:anatomy", f"1=mri={mask}"):
        read_references(Instruction.parse("[ref#1]", [word]))
    assert not caplog.messages


def test_a_radiograph_is_no_reference_of_a_volume(world: SimpleNamespace) -> None:
    path = world.manifest.parent / "s0" / "xray.png"
    with pytest.raises(UsageError, match="--from xray=FILE"):
        pictures(f"1={path}:look")


def test_a_flow_of_volumes_learns_and_reads(world: SimpleNamespace, tmp_path: Path) -> None:
    config = from_mapping(
        InstructTrainConfig,
        {
            "modality": "ct",
            "init": str(world.flows),
            "reader": {"width": 16, "layers": 1, "heads": 2},
        },
    )
    fit = FitConfig(steps=3, batch=2, learning_rate=3e-2, warmup=0, ema_decay=0.0)
    for _ in train_instruct(replace(config, fit=fit), tmp_path, manifest=world.manifest):
        pass
    text = "Left frontal haemorrhage, in the look of [ref#1], with the anatomy of [ref#2]."
    ct = world.manifest.parent / "s1" / "ct.nii.gz"
    words = (f"1={ct}", f"2=ct={ct}")
    asked = GenerateConfig(
        "ct", references=words, model=str(tmp_path / "model"), device="cpu", steps=2
    )
    references = read_references(Instruction.parse(text, words))
    (made,) = generate(understood(text, asked), [], asked, references=references)
    plain = replace(asked, references=())
    (without,) = generate(understood("Left frontal haemorrhage.", plain), [], plain)
    assert made.image.voxels.shape == (SIDE, SIDE, SIDE)
    assert (made.image.voxels != without.image.voxels).any()
