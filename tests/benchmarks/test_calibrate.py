"""Calibration changes what the card says of sigma, and not one weight."""

from pathlib import Path

import torch

from benchmarks.calibrate import write_calibration
from medgen.checkpoint import Card, read_card
from medgen.metrics.calibration import Calibration
from medgen.tasks.translate import calibration_of
from medgen.tasks.translator.model import PART, load_translator, save_translator
from medgen.tasks.translator.translator import CT, Translator, TranslatorConfig


def test_weights_stay_and_sigma_is_scaled(tmp_path: Path) -> None:
    config = TranslatorConfig(widths=(4, 4))
    state = Translator(config).state_dict()
    before = save_translator(tmp_path / "m", Card("m", "1", "translate", steps=9), config, state)
    write_calibration(tmp_path / "m", Calibration(scale=1.5, floor=12.0))
    after = read_card(tmp_path / "m")
    assert after.parts[PART].sha256 == before.parts[PART].sha256
    assert (after.steps, after.digest == before.digest) == (9, False)
    model = load_translator(tmp_path / "m", torch.device("cpu"))
    assert calibration_of(model, CT) == Calibration(1.5, 12.0)
