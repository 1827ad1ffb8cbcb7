"""Images that something is made after are compared with the chests that the model knows."""

from pathlib import Path
from typing import Any

import pytest

from medgen.tasks.generate import load_generator, understood
from medgen.tasks.generating import foreign
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.foreign import check_given
from medgen.tasks.generating.requests import read_sources
from medgen.tasks.reporting.seen import Seen, seen_of

SAMPLE = Path(__file__).parents[3] / "sample_data" / "head" / "ct.nii.gz"


def test_an_image_of_many_prompts_is_seen_once_and_told_each_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = GenerateConfig(sources=(f"ct={SAMPLE}",), device="cpu", force=True)
    loaded, sources, seen = load_generator(config), read_sources(config), []

    def counted(*given: Any) -> list[Seen]:
        seen.append(given)
        return seen_of(*given)

    monkeypatch.setattr(foreign, "seen_of", counted)
    for text in ("Normal chest.", "Cardiomegaly."):
        check_given(understood(text, config), sources, [], loaded, config)
    assert len(seen) == 1
    assert caplog.text.count("of it is unlike any ct of training") == 2
    check_given(understood(text, config), read_sources(config), [], loaded, config)
    assert len(seen) == 2  # read anew, it may be another
