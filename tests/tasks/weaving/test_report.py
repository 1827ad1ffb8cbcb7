"""The report of a woven scan says what was woven, and nothing that denies it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medgen.errors import UsageError
from medgen.finding import Finding, Presence, Side
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind
from medgen.tasks.studies import report_in
from medgen.tasks.weaving.report import finding_of, updated

EFFUSION = Finding("pleural_effusion", side=Side.LEFT)
PHRASES = load_phrases()


def said(text: str) -> dict[str, Presence]:
    return {one.name: one.presence for one in read_findings(text, PHRASES)}


def test_what_was_woven_is_added_and_its_denial_left_out() -> None:
    old = "FINDINGS: No effusion or pneumothorax. Mild cardiomegaly.\nIMPRESSION: Normal study."
    new = updated(old, [EFFUSION], PHRASES)
    assert new == (
        "FINDINGS: No pneumothorax. Mild cardiomegaly. Left pleural effusion.\n"
        "IMPRESSION: Left pleural effusion.\n"
    )
    assert said(new) == {
        "pleural_effusion": Presence.PRESENT,
        "pneumothorax": Presence.ABSENT,
        "cardiomegaly": Presence.PRESENT,
    }


def test_what_else_is_denied_is_denied_where_it_was() -> None:
    new = updated("No effusion or right pneumothorax.", [EFFUSION], PHRASES)
    assert new == "No pneumothorax (right).\nLeft pleural effusion.\n"


def test_a_sentence_over_two_lines_is_one(tmp_path: Path) -> None:
    path = tmp_path / "wrapped.txt"
    wrapped = (
        "FINDINGS: The heart is large. There is no evidence of pleural\neffusion or "
        "pneumothorax.\nIMPRESSION: No acute\nabnormality.\n- Large heart.\n"
    )
    path.write_bytes(b"\xef\xbb\xbf" + wrapped.encode())
    assert updated(report_in(path), [EFFUSION], PHRASES).splitlines() == [
        "FINDINGS: The heart is large. No pneumothorax. Left pleural effusion.",
        "IMPRESSION: Left pleural effusion.",
        "- Large heart.",
    ]


def test_an_item_that_is_left_out_leaves_no_number() -> None:
    old = "FINDINGS:\n1. No effusion.\n2) Mild cardiomegaly. No effusion.\n- Normal study."
    assert updated(old, [EFFUSION], PHRASES) == (
        "FINDINGS: Left pleural effusion.\n2) Mild cardiomegaly.\n"
    )


def test_a_report_without_sections_gets_it_at_the_end() -> None:
    assert updated("Mild cardiomegaly.", [EFFUSION], PHRASES) == (
        "Mild cardiomegaly.\nLeft pleural effusion.\n"
    )


def test_a_radiograph_is_looked_at_from_the_front() -> None:
    pixels = np.arange(80, dtype=np.uint16).reshape(8, 10)
    image = MedicalImage(pixels, flat_detector(), spacing_is_known=False)
    region = np.zeros((8, 10), bool)
    region[2:4, 7:9] = True
    assert finding_of("nodule", region, image) == Finding("nodule", side=Side.LEFT)
    assert finding_of("pleural effusion", region[:, ::-1], image).side is Side.RIGHT
    assert finding_of("cardiomegaly", region, image).side is None
    lateral = replace(image, kind=Kind.parse("xray:lateral"))
    assert finding_of("nodule", region, lateral).side is None


@pytest.mark.parametrize("sign", [1, -1])
def test_a_volume_has_its_sides_from_its_affine(sign: int) -> None:
    voxels = np.arange(512, dtype=np.int16).reshape(8, 8, 8)
    image = MedicalImage(voxels, Geometry(np.diag([3.0 * sign, 2, 2, 1])))
    region = np.zeros((8, 8, 8), bool)
    region[5:8, 2:4, 2:5] = True
    wanted = Finding("nodule", side=Side.RIGHT if sign > 0 else Side.LEFT, size_mm=9.0)
    assert finding_of("nodule", region, image) == wanted


def test_what_cannot_be_said() -> None:
    image = MedicalImage(np.arange(4.0).reshape(2, 2), flat_detector())
    with pytest.raises(UsageError, match="no report speaks of zebra"):
        finding_of("zebra", np.ones((2, 2), bool), image)
