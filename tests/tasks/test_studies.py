"""Studies are read once; what cannot be read is counted, and equal reports share a group."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medgen.align.augment import AugmentConfig
from medgen.data.standard import StandardConfig
from medgen.data.study import Study
from medgen.errors import InputError
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind, Modality
from medgen.tasks.studies import (
    MAX_TEXT_BYTES,
    AlignItems,
    ReadStudy,
    read_report,
    read_studies,
)

PHRASES = load_phrases()
SMALL = StandardConfig(side=16, shape=(8, 8, 8), spacings=(8.0,))
XRAY = Kind(Modality.XRAY)


def study(folder: Path, name: str, text: str | bytes | None = "No effusion.") -> Study:
    """A study with a radiograph and, unless None, a report."""
    grey = np.random.default_rng(len(name)).integers(0, 255, (40, 30)).astype(np.uint8)
    Image.fromarray(grey).save(folder / f"{name}.png")
    report = None
    if text is not None:
        report = folder / f"{name}.txt"
        report.write_bytes(text.encode() if isinstance(text, str) else text)
    return Study(name, name, {XRAY: folder / f"{name}.png"}, report)


def read(studies: list[Study], **settings: float) -> list[ReadStudy]:
    return list(read_studies(studies, SMALL, PHRASES, **settings))


def test_reports_that_say_the_same_share_a_group(tmp_path: Path) -> None:
    texts = [
        "Small left pleural effusion.",
        "There is a tiny left-sided effusion. No pneumothorax.",
        "Small right pleural effusion.",
        "No effusion.",
        "Normal study.",
    ]
    found = read([study(tmp_path, f"s{at}", text) for at, text in enumerate(texts)])
    groups = [one.group for one in found]
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] == groups[4] not in groups[:3]
    assert found[0].images[Modality.XRAY][0].shape == (1, 16, 16)


@pytest.mark.parametrize("text", [None, "", " \n "])
def test_a_study_with_one_modality_is_of_no_use(tmp_path: Path, text: str | None) -> None:
    assert read([study(tmp_path, "s", text)]) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [("Befund: Erguß".encode("latin-1"), "UTF-8"), (b"x" * (MAX_TEXT_BYTES + 1), "bytes")],
)
def test_an_unreadable_report_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: bytes, word: str
) -> None:
    studies = [study(tmp_path, "bad", text), *(study(tmp_path, f"s{n}") for n in range(3))]
    with caplog.at_level(logging.WARNING):
        found = read(studies, max_bad=0.5)
    assert [one.id for one in found] == ["s0", "s1", "s2"]
    assert "bad.txt" in caplog.text
    assert word in caplog.text


def test_too_many_bad_ones_stop(tmp_path: Path) -> None:
    studies = [study(tmp_path, f"s{n}", b"\xff\xfe") for n in range(4)]
    with pytest.raises(InputError, match=r"1 of the first 1 studies cannot be read.*s0\.txt"):
        read(studies, max_bad=0.2)


def test_a_report_in_another_language_is_read(tmp_path: Path) -> None:
    assert read_report(study(tmp_path, "s", "Kein Erguß. 胸水なし")) == "Kein Erguß. 胸水なし"


def test_items_are_a_function_of_their_number(tmp_path: Path) -> None:
    studies = read([study(tmp_path, f"s{n}", f"Nodule of {n} mm.") for n in range(1, 5)])
    first, again = (AlignItems(studies, AugmentConfig(), 3) for _ in range(2))
    one, other = first(7), again(7)
    assert one.text == other.text
    assert torch.equal(one.views[Modality.XRAY][0], other.views[Modality.XRAY][0])
    assert not torch.equal(one.views[Modality.XRAY][0], one.views[Modality.XRAY][1])
    assert len({first(number).text for number in range(40)}) == 4
