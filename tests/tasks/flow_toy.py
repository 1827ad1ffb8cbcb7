"""Encoders, codecs and flows that know four radiographs with a square in one corner."""

from dataclasses import replace
from pathlib import Path

from medgen.config import from_mapping
from medgen.data.standard import StandardConfig
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.text import TextEncoderConfig
from medgen.tasks.align import align
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import EncodersConfig
from medgen.tasks.codecs.report_train import ReportTrainConfig, train_report_codec
from medgen.tasks.codecs.train import CodecTrainConfig, train_codec
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.flows.train import FlowTrainConfig, train_flow

IMAGE = ImageEncoderConfig(widths=(8, 16), width=16, layers=1, heads=2, embedding=16)
FIT = FitConfig(steps=100, batch=8, learning_rate=3e-3, warmup=5, ema_decay=0.9)
ALIGN = AlignConfig(
    vocabulary=300,
    standard=StandardConfig(side=16, shape=(8, 8, 8), spacings=(8.0,)),
    encoders=EncodersConfig(
        text=TextEncoderConfig(max_tokens=48, width=16, layers=1, heads=2, embedding=16),
        xray=replace(IMAGE, spatial_dims=2),
        ct=replace(IMAGE, in_channels=4),
        mri=replace(IMAGE, in_channels=2),
    ),
    fit=FIT,
)
CODEC = from_mapping(
    CodecTrainConfig,
    {
        "patch": 32,
        "frame": {"side": 32},
        "codec": {"latent_channels": 4, "widths": [16, 16, 16], "norm_groups": 4},
        "loss": {"adversarial": 0.0},
    },
)
REPORT = from_mapping(
    ReportTrainConfig,
    {
        "blotted": 0.1,
        "beta": 0.0,
        "codec": {
            "max_tokens": 48,
            "width": 32,
            "layers": 1,
            "heads": 2,
            "channels": 8,
            "length": 4,
        },
    },
)
CONDITIONER = {"width": 16, "length": 4, "layers": 1, "heads": 2}
FLOW = from_mapping(
    FlowTrainConfig,
    {"flow": {"patch": 1, "widths": [32, 32], "heads": 2, "conditioner": CONDITIONER}},
)
OF_REPORTS = {  # the shape of a flow of what REPORT's codec makes
    "modality": "text",
    "channels": 8,
    "grid": [4],
    "patch": 1,
    "widths": [32],
    "attention": [True],
    "heads": 2,
    "conditioner": CONDITIONER,
}


def toy_codecs(manifest: Path, out: Path) -> Path:
    """The folder of a model with encoders, a codec of radiographs, and one of reports."""
    more = replace(ALIGN, fit=replace(FIT, steps=250))
    for _ in align(more, out / "align", manifest=manifest):
        pass
    fit = replace(FIT, steps=200, learning_rate=5e-3)
    codec = replace(CODEC, init=str(out / "align" / MODEL), fit=fit)
    for _ in train_codec(codec, out / "codec", manifest=manifest):
        pass
    report = replace(REPORT, init=str(out / "codec" / MODEL), fit=fit)
    for _ in train_report_codec(report, out / "report", manifest=manifest):
        pass
    return out / "report" / MODEL


def toy_flow(manifest: Path, codecs: Path, out: Path) -> Path:
    """The folder of a model that also makes radiographs."""
    config = replace(
        FLOW, init=str(codecs), fit=replace(FIT, batch=32, steps=300, learning_rate=3e-3)
    )
    for _ in train_flow(config, out, manifest=manifest):
        pass
    return out / MODEL
