"""Patients in words have reports, no images, and counterfactuals; the same seed writes the same."""

from pathlib import Path

from benchmarks import words
from medgen.data.counterfactuals import read_counterfactuals
from medgen.data.manifest import read_manifest


def test_studies_of_words_make_a_manifest(tmp_path: Path) -> None:
    assert words.main(["-n", "12", "-o", str(tmp_path / "one")]) == 0
    assert words.main(["-n", "12", "-o", str(tmp_path / "two")]) == 0
    studies = read_manifest(tmp_path / "one" / "manifest.jsonl")
    again = read_manifest(tmp_path / "two" / "manifest.jsonl")
    assert len(studies) == 12
    for study, other in zip(studies, again, strict=True):
        assert not study.images
        assert study.text is not None
        assert other.text is not None
        assert study.counterfactuals is not None
        assert study.text.read_text() == other.text.read_text()
        pairs = read_counterfactuals(study.counterfactuals)
        assert all(pair.says != pair.changed for pair in pairs)
    assert len({(study.text or Path()).read_text() for study in studies}) == 12
