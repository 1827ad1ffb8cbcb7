"""Handwritten reports belong to held-out studies and take the place of the simulated ones."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks import heldout_studies
from benchmarks.heldout_studies import CHESTS, HANDWRITTEN, HEADS, handwritten
from benchmarks.likeness import Match
from benchmarks.train_align import STUDIES
from medgen.data.study import Study


def test_each_handwritten_report_is_of_one_study_and_says_something_of_its_own() -> None:
    rows = [json.loads(line) for path in HANDWRITTEN for line in path.read_text().splitlines()]
    assert all(row.keys() == {"id", "text"} for row in rows)
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == len(rows)
    numbers = [int(row["id"].rpartition("-")[2]) for row in rows]
    assert all(1 <= number <= heldout_studies.NUMBER for number in numbers)


def test_it_replaces_the_simulated_one(tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    studies = [Study(f"head-study-{n:04d}", "p", text=report) for n in (1, 2, 101)]
    found = handwritten(studies, tmp_path)
    assert [study.id for study in found] == ["head-study-0001", "head-study-0002"]
    for study in found:
        assert study.text is not None
        assert len(study.text.read_text()) > 20
    assert replace(found[0], text=report) == studies[0]


def test_nobody_trains_on_the_seeds_of_the_held_out_studies() -> None:
    seeds = {each.options.split()[each.options.split().index("--seed") + 1] for each in STUDIES}
    assert not seeds & {str(CHESTS.seed), str(HEADS.seed)}
    assert CHESTS.held_out
    assert HEADS.held_out


def test_a_study_is_the_listed_one_by_its_hash_or_by_texts_and_signatures() -> None:
    text = heldout_studies.LIST.read_text()
    listed = json.loads(text)["studies"]
    assert len(listed) == 2 * heldout_studies.NUMBER
    assert heldout_studies.as_text(listed) == text
    study = listed["head-study-0001"]
    assert heldout_studies.matched(study, study) is Match.EXACT
    assert heldout_studies.matched(study | {"sha256": "0"}, study) is Match.ALIKE
    moved = {name: [one + 0.02 for one in of] for name, of in study["signatures"].items()}
    for change in ({"texts_sha256": "0"}, {"signatures": moved}, {"signatures": {}}):
        assert heldout_studies.matched(study | {"sha256": "0"} | change, study) is Match.OTHER
