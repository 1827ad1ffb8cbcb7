"""A prior report says the same as text and as medgen's own JSON; other JSON is refused."""

import json
from pathlib import Path

import pytest

from medgen.errors import InputError
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.prior import read_prior, read_said

SAID = "Mass in the left upper lobe. No effusion.\nLeft mass."


def test_a_report_says_the_same_as_text_and_as_json(tmp_path: Path) -> None:
    text, made = tmp_path / "r.txt", tmp_path / "r.json"
    text.write_text(SAID)
    both = {
        "Findings": ["Mass in the left upper lobe.", "No effusion."],
        "Impression": ["Left mass."],
    }
    parts = {name: [{"text": one, "claims": []} for one in said] for name, said in both.items()}
    made.write_text(json.dumps(parts | {"Synthetic": True, "Candidates": ["x" * 60_000]}))
    before = [read_prior(ReportConfig(prior=str(path))) for path in (text, made)]
    assert before[0].facts
    assert before[0].facts == before[1].facts
    assert not before[1].warning


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '"Mass."', '{"Findings": "Mass.", "Impression": ""}', '{"Synthetic": true}'],
)
def test_other_json_is_no_prior(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"other.json: is no report as medgen writes it"):
        read_said(path)
    before = read_prior(ReportConfig(prior=str(path)))
    assert before.facts is None
    assert before.warning.startswith(f"--prior {path}: is no report as medgen writes it")


def test_what_is_too_long_or_empty_is_no_report(tmp_path: Path) -> None:
    for name, content in (("a.txt", " "), ("b.txt", "No mass. " * 9_000)):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match="no report by its length"):
            read_said(tmp_path / name)
