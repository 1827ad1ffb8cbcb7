"""A codec of reports learns a manifest's reports, and keeps what the model has."""

from types import SimpleNamespace

import pytest
import torch

from medgen.errors import UsageError
from medgen.tasks.codecs.report import load_report_codec
from medgen.tasks.codecs.report_train import ReportTrainConfig
from tests.tasks.align_toy import PLACES


def test_reports_come_back(corner_flows: SimpleNamespace) -> None:
    loaded = load_report_codec(corner_flows.codecs, torch.device("cpu"))
    longest = loaded.codec.config.max_tokens
    ids = loaded.tokenizer.encode(list(PLACES), max_tokens=longest).ids
    with torch.no_grad():
        latent = loaded.codec.encode(ids)
    written = loaded.codec.decode(latent)
    right = (written[:, : ids.shape[1]] == ids[:, : written.shape[1]])[ids != 0].float().mean()
    assert float(right) > 0.8
    assert abs(float(latent.mean())) < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -1.0}, "must not be negative"),
        ({"blotted": 1.0}, r"blotted 1: choose a share in \[0, 1\)"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ReportTrainConfig(**settings)  # type: ignore[arg-type]
