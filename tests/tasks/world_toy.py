"""A model of all four modalities, trained for a step or two as real ones are."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import torch._dynamo  # which every first optimizer imports, for seconds; forks find it done
from PIL import Image

from medgen.config import from_mapping
from medgen.tasks.align import align
from medgen.tasks.codecs.report_train import train_report_codec
from medgen.tasks.codecs.train import CodecTrainConfig, train_codec
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.train import FlowTrainConfig, train_flow
from medgen.tasks.joining.train import CrossTrainConfig, train_cross
from tests.tasks.flow_toy import ALIGN, CODEC, CONDITIONER, OF_REPORTS, REPORT

ROUNDS = ("text-xray", "text-ct", "ct-mri")
TEXTS = ("Left frontal haemorrhage.", "Right frontal haemorrhage.", "Left parietal infarct.")
FIT = FitConfig(steps=2, batch=2, learning_rate=1e-3, warmup=0, ema_decay=0.0)
IMAGE = {"patch": 1, "widths": [32, 32], "heads": 2, "conditioner": CONDITIONER}
VOLUME = {
    "patch": 8,
    "frame": {"spacing": 8.0},
    "codec": {"spatial_dims": 3, "latent_channels": 4, "widths": [16, 16], "norm_groups": 4},
    "loss": {"adversarial": 0.0},
}
SPACING, SIDE = 8.0, 16  # of what the flows of volumes make: mm, voxels


def write_world(folder: Path, head: Any) -> Path:
    """Three heads as all modalities see them; their manifest."""
    rows = []
    for at, text in enumerate(TEXTS):
        study = folder / f"s{at}"
        study.mkdir(parents=True)
        affine = np.diag([2.0, 2, 2, 1])
        names = {"ct": "ct.nii.gz", "mri:t1": "t1.nii.gz"}
        for kind, name in names.items():
            voxels = head(kind.partition(":")[0], (26, 24, 28 - 2 * at))
            nib.save(nib.Nifti1Image(voxels, affine), study / name)
        Image.fromarray(
            np.full((32, 32), 60 * at + 40, np.uint8) + np.eye(32, dtype=np.uint8)
        ).save(study / "xray.png")
        (study / "report.txt").write_text(text)
        files = {"text": "report.txt", "xray": "xray.png", **names}
        row = {"id": f"s{at}", "patient": f"p{at}"}
        rows.append(row | {kind: f"s{at}/{name}" for kind, name in files.items()})
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def round_config(name: str, init: Path, **fit: Any) -> CrossTrainConfig:
    """A small round, whose listeners soon have something to say."""
    cross = {"width": 16, "embedding": 16, "heads": 2, "most": 2}
    config = from_mapping(CrossTrainConfig, {"pair": name.split("-"), "cross": cross})
    more = {"steps": 4, "batch": 4, "learning_rate": 3e-2, **fit}
    return replace(config, init=str(init), short=0.4, fit=replace(FIT, **more))


def train_world(manifest: Path, out: Path) -> Path:
    """Encoders, codecs and flows, one after the other; the folder of the model of all."""
    last = Path()
    for name, steps in _trainings(manifest, out):
        for _ in steps:
            pass
        last = out / name / MODEL
    return last


def _trainings(manifest: Path, out: Path) -> Iterator[tuple[str, Iterator[Any]]]:
    last = out / "align" / MODEL
    yield (
        "align",
        align(replace(ALIGN, fit=replace(FIT, batch=3)), out / "align", manifest=manifest),
    )
    volumes = {
        name: from_mapping(CodecTrainConfig, {**VOLUME, "modality": name}) for name in ("ct", "mri")
    }
    for modality, codec in {"xray": CODEC, **volumes}.items():
        name, codec = f"codec-{modality}", replace(codec, init=str(last), fit=FIT)
        yield name, train_codec(codec, out / name, manifest=manifest)
        last = out / name / MODEL
    report = replace(REPORT, init=str(last), fit=FIT)
    yield "codec-text", train_report_codec(report, out / "codec-text", manifest=manifest)
    last = out / "codec-text" / MODEL
    grid = {"grid": [SIDE // 4] * 3, "spacings": [SPACING]}
    for modality, shape in (
        ("text", {**OF_REPORTS, "res_blocks": 2}),
        ("xray", IMAGE),
        ("ct", {**IMAGE, **grid}),
        ("mri", {**IMAGE, **grid}),
    ):
        flow = from_mapping(FlowTrainConfig, {"flow": {**shape, "modality": modality}})
        name, flow = f"flow-{modality}", replace(flow, init=str(last), fit=FIT)
        yield name, train_flow(flow, out / name, manifest=manifest)
        last = out / name / MODEL


def train_rounds(manifest: Path, flows: Path, out: Path) -> dict[str, Path]:
    """The three rounds, in the paper's order; the folder of the model after each."""
    made, last = {}, flows
    for name in ROUNDS:
        for _ in train_cross(round_config(name, last), out / name, manifest=manifest):
            pass
        made[name] = last = out / name / MODEL
    return made


def one_of_two(rank: int, port: int, manifest: str, inits: dict[str, str], out: str) -> None:
    """Train each round as one of two processes, from the model that is named for it."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(place, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    for name, init in inits.items():
        config = round_config(name, Path(init))
        for _ in train_cross(config, Path(out) / name, manifest=Path(manifest)):
            pass
