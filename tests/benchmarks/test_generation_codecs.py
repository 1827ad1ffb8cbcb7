"""What is said of codecs: what comes back counts, and midpoints are written by the codec itself."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import generation_codecs
from benchmarks.generation_codecs import coded, midpoints, radiograph_scores, volume_scores
from medgen.modality import Modality
from medgen.tasks.codecs.model import load_codec
from medgen.tasks.codecs.report import load_report_codec


def test_psnr_is_that_of_what_the_codec_makes(corner_flows: SimpleNamespace) -> None:
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32)).astype(np.float32)
    codec = load_codec(str(corner_flows.model), Modality.XRAY, torch.device("cpu")).codec
    images = torch.from_numpy(pictures)[:, None].split(1)  # in company, the last bits differ
    with torch.no_grad():
        each = [codec.decode(codec.encode(image)).clamp(-1, 1)[:, 0] for image in images]
    made = torch.cat(each).numpy()
    # Of range 2, as [-1, 1] has it.
    squares = ((made - pictures) ** 2).mean((1, 2))
    wanted = float(np.mean(10 * np.log10(4 / squares)))
    assert radiograph_scores(str(corner_flows.model), pictures)["psnr"] == pytest.approx(wanted)
    np.testing.assert_allclose(coded(str(corner_flows.model), pictures), made, atol=1e-6)


def test_half_way_is_half_way_from_both_sides(corner_flows: SimpleNamespace) -> None:
    loaded = load_report_codec(str(corner_flows.codecs), torch.device("cpu"))
    one, other = "Mass in the left upper lobe.", "No mass."
    assert len(midpoints(loaded, [one, other, one])) == 2
    first, second = midpoints(loaded, [one, other, one])
    assert first == second


def test_a_model_without_volumes_has_no_figures_of_them(
    corner_flows: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation_codecs, "rendered", lambda data, cache: tmp_path)
    assert volume_scores(str(corner_flows.model), tmp_path, tmp_path) == {}
