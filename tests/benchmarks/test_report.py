"""The report adds words, never a number: each one in its tables is in the results, rounded."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report
from benchmarks.goals import goals
from benchmarks.layout import tables
from benchmarks.results import write_results
from benchmarks.retrieval import figures
from benchmarks.rows import Row
from medgen.metrics.choice import choice
from medgen.metrics.retrieval import agreement

PARTS = ("pairs", "heads", "race", "mri", "sigma", "skull", "speed", "codec")
PARTS += ("retrieval", "ablation", "generation", "ct-chests", "ct-heads", "reports")
PARTS += ("scarce", "weaving", "segmenting", "instruct", "refine", "archive")
RETRIEVAL = ("Encoders: retrieval", "Encoders: contrast sets", "Encoders: by size of the lesion")
FIGURES = ("mae", "psnr", "ms_ssim", "mae_air", "mae_soft", "mae_bone", "dice_bone")


def row(part: str, subject: str, method: str, **scores: float) -> Row:
    return Row(part, subject, "mri:t1", "ct", method, scores, 0.0, "c0ffee", "2001-02-03")


def ct_row(part: str, subject: str, method: str, error: float) -> Row:
    scores = {figure: error / (7 + at) for at, figure in enumerate(FIGURES)} | {"mae": error}
    return row(part, subject, method, **scores)


def found() -> dict[str, float]:
    """Three texts find their CT at once; two CTs of three choose the right side."""
    one = np.eye(3, dtype=np.float32)
    sizes = ["10 to 20 mm"] * 3
    pairs = {"text-ct": agreement(one, one, parts=sizes)}
    return figures(pairs, {"ct": {"side": choice([0.1, 0.2, -0.3])}})


def toy_parts() -> dict[str, list[Row]]:
    methods = {"regress": 60.0, "constant": 100.0, "diffuse": 70.0, "unet": 80.0}
    pairs = [
        ct_row("pairs", subject, method, error + 3.3 * at)
        for method, error in methods.items()
        for at, subject in enumerate(("STS_1", "STS_2", "STS_3"))
    ]
    raced = [replace(one, part="race") for one in pairs]
    raced += [ct_row("race", "head_1", method, error) for method, error in methods.items()]
    raced += [
        row("race", "training", who, steps=900.0, minutes=12.5) for who in ("regress", "unet")
    ]
    return {
        **{part: [] for part in PARTS},
        "pairs": [one for one in pairs if one.method != "unet"],
        "race": [one for one in raced if one.method != "diffuse"],
        "heads": [ct_row("heads", "head_1", "regress", 71.5)],
        "skull": [row("skull", "t1_a", "regress", closed_share=0.983)],
        "sigma": [row("sigma-pairs", "STS_1", "diffuse", coverage=0.951, sigma=33.0, mae=41.0)],
        "mri": [row("mri", "STS_1", "regress", psnr=21.3, ssim=0.61)],
        "retrieval": [Row("retrieval", "heldout", "", "", "encoders", found(), 0.0, "", "")],
    }


@pytest.fixture(scope="module")
def page_and_results(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    folder, parts = tmp_path_factory.mktemp("bench"), toy_parts()
    about = {"command": "make bench", "date": "2001-02-03", "machine": {"cores": 2}}
    rows = [one for part in parts.values() for one in part]
    path = folder / "results.json"
    write_results(path, about, tables(parts), goals(parts), rows)
    report.main(["--results", str(path), "-o", str(folder / "page.md")])
    results = json.loads(path.read_text(encoding="utf-8"))
    return (folder / "page.md").read_text(encoding="utf-8"), results


def numbers_of(value: Any) -> list[float | str]:
    """Every number of a JSON document, those inside its words too."""
    if isinstance(value, dict):
        return [n for key, each in value.items() for n in (*numbers_of(key), *numbers_of(each))]
    if isinstance(value, list):
        return [n for each in value for n in numbers_of(each)]
    if isinstance(value, str):
        return re.findall(r"\d+(?:\.\d+)?", value)
    return [] if value is None or isinstance(value, bool) else [value]


def test_every_number_comes_from_the_results(page_and_results: tuple[str, dict]) -> None:
    page, results = page_and_results
    known = set()
    for number in numbers_of(results):
        if isinstance(number, str):
            known.add(number)
        else:
            known |= {f"{abs(number):.{digits}f}" for digits in range(6)}
    lines = [line for line in page.splitlines() if line.startswith("|")]
    printed = {number for line in lines for number in re.findall(r"\d+(?:\.\d+)?", line)}
    assert len(printed) > 50
    assert printed - known == set()


def test_what_was_not_reached_or_measured_is_said_to_be_open(
    page_and_results: tuple[str, dict],
) -> None:
    page, _ = page_and_results
    assert "| held-out heads, T1: MAE | at most 70 HU | 71.5 | **not reached: open** |" in page
    assert "| held-out heads, T2: MAE | at most 70 HU | - | **not measured: open** |" in page
    assert "Not measured: open." in page.partition("## Codec")[2]
    assert "| closed skull, real head t1_a | at least 0.98 | 0.9830 | reached |" in page


def test_a_method_stands_beside_constant_and_unet_patient_by_patient() -> None:
    by_title = {table.title: table for table in tables(toy_parts())}
    ours = by_title["Race from nothing: real pairs"].lines[0]
    assert ours[1]["mean"] == pytest.approx(63.3)
    assert ours[1]["sd"] == pytest.approx(3.3)
    assert [column.title for column in by_title["Real pairs: MRI to CT"].columns][-1] == (
        "MAE less constant's"
    )
    # 40 and 20 HU for every patient, so that no resampling changes it
    assert [ours[-2][name] for name in ("mean", "low", "high")] == pytest.approx([-40] * 3)
    assert [ours[-1][name] for name in ("mean", "low", "high")] == pytest.approx([-20] * 3)


def test_goals_are_held_against_the_means() -> None:
    found = goals(toy_parts())
    share, *aims = found[:3]
    (unet,) = (goal for goal in found if goal.part == "race")
    assert share.value == pytest.approx(1 - 63.3 / 103.3)
    assert (share.is_reached, unet.is_reached) == (True, True)
    assert [aim.is_reached for aim in aims] == [True, False]  # 75 and 60 HU


def test_encoders_stand_beside_chance_and_by_size() -> None:
    parts = toy_parts()
    by_title = {table.title: table for table in tables(parts)}
    retrieved, chosen, sizes = (by_title[title] for title in RETRIEVAL)
    assert [line[:3] for line in retrieved.lines] == [["text", "ct", 1.0], ["ct", "text", 1.0]]
    titles = [column.title for column in retrieved.columns]
    assert retrieved.lines[0][titles.index("chance R@5")] == 1.0
    assert retrieved.lines[0][titles.index("probe R@5")] is None
    assert chosen.lines[0][:3] == ["ct", "side", pytest.approx(2 / 3)]
    assert sizes.lines[0] == ["text", "ct", None, 1.0, None, None, None]
    reached = {goal.what: goal.is_reached for goal in goals(parts)}
    assert reached["text finds ct: R@5"] is True
    assert reached["ct: side told apart"] is False
    assert reached["text finds mri: R@5"] is None


def test_the_same_results_make_the_same_page(tmp_path: Path) -> None:
    parts = toy_parts()
    pages = []
    for name in ("a.json", "b.json"):
        write_results(tmp_path / name, {"date": "2001-02-03"}, tables(parts), goals(parts), [])
        pages.append(report.render(json.loads((tmp_path / name).read_text(encoding="utf-8"))))
    assert pages[0] == pages[1]


def test_what_a_run_did_not_measure_stays_as_the_page_has_it() -> None:
    parts = toy_parts()
    models = {"model": {"name": "base", "weights": "aa"}, "flows": flows(text="01ab")}
    about = {"date": "2001-02-03", "commits": ["one"], **models}
    before = page_of(about, parts)
    nothing = {part: [] for part in PARTS}
    later = about | {"date": "2004-05-06", "commits": ["two"]}
    kept = page_of(later, nothing, before)
    assert "| commits | one, two |" in kept
    measured = before.partition("## Goals")[2].splitlines()
    assert "| real pairs: MAE | at most 75 HU | 63.3 | reached |" in measured
    assert set(measured) <= set(kept.splitlines())
    newest = later | {"model": {"name": "base"}, "flows": flows(text="cd23")}
    newer = page_of(newest, nothing, before)
    assert "71.5" not in newer
    race = 1  # its networks are no part of a model
    assert newer.count("| reached |") == nothing_reached(about) + race


def test_figures_go_with_the_weights_that_they_rest_on() -> None:
    about = {"date": "2001-02-03", "model": {"weights": "aa"}, "flows": flows(text="01", ct="02")}
    parts = {part: [] for part in PARTS} | {"retrieval": toy_parts()["retrieval"]}
    before, nothing = page_of(about, parts), {part: [] for part in PARTS}
    (goal,) = (line for line in before.splitlines() if line.startswith("| text finds ct"))
    assert goal.endswith("| reached |")
    beside = about | {"flows": {"steps": 9} | flows(**{"text": "01", "ct": "02", "flow-ct": "03"})}
    assert goal in page_of(beside, nothing, before).splitlines()
    without = page_of(about | {"flows": flows(text="01", ct="04")}, nothing, before)
    assert goal not in without.splitlines()


def test_lines_that_a_run_did_not_measure_stay_and_are_marked() -> None:
    about = {"date": "2001-02-03", "model": {"weights": "aa"}}
    before = page_of(about, toy_parts())
    flat, others = "constant, 40 HU", ["medgen `regress`", "medgen `diffuse`"]
    lower = [ct_row("pairs", f"STS_{at}", "constant", 41.0) for at in (1, 2, 3)]
    fewer = {part: [] for part in PARTS} | {"pairs": lower}
    later = about | {"date": "2004-05-06"}
    for _ in range(2):  # marks do not pile up
        page = page_of(later, fewer, before)
        old, new = lines_of(before), lines_of(page)
        assert list(new) == ["", *(f"{one} †" for one in others), flat]
        assert new[flat].startswith("41 ± 0")
        assert [new[f"{one} †"] for one in others] == [
            old.get(one) or old[f"{one} †"] for one in others
        ]
        assert "--only pairs`, 2004-05-06. † measured earlier." in page
        before = page
    other = page_of(later | {"model": {"weights": "bb"}}, fewer, before)
    assert list(lines_of(other)) == ["", flat]


def lines_of(page: str) -> dict[str, str]:
    """The first table of the page's first part, without its rule."""
    section = page.partition("## Real pairs: MRI to CT\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").partition(" | ") for line in section.splitlines() if "|" in line]
    (head, _, *others) = [("", "|", line[2]) if at == 0 else line for at, line in enumerate(lines)]
    return {name: rest for name, _, rest in (head, *others)}


def flows(**weights: str) -> dict[str, Any]:
    listed = ", ".join(f"{name} {sha256}" for name, sha256 in weights.items())
    return {"name": "flows", "weights": listed}


def test_a_page_remembers_every_machine() -> None:
    parts, about = toy_parts(), {"date": "2001-02-03", "machine": {"processor": "one"}}
    first = page_of(about, parts)
    second = page_of(about | {"machine": {"processor": "two"}}, parts, first)
    assert "| machine | processor two; earlier ones: processor one |" in second
    third = page_of(about | {"machine": {"processor": "three"}}, parts, second)
    assert "| machine | processor three; earlier ones: processor two / processor one |" in third
    again = page_of(about | {"machine": {"processor": "two"}}, parts, third)
    assert "| machine | processor two; earlier ones: processor three / processor one |" in again
    assert page_of(about, parts, second).count("processor one") == 1


def page_of(about: dict[str, Any], parts: dict[str, list[Row]], before: str = "") -> str:
    found = {
        "about": about,
        "goals": [asdict(goal) for goal in goals(parts)],
        "tables": [asdict(table) for table in tables(parts)],
    }
    return report.render(found, before)


def nothing_reached(about: dict[str, Any]) -> int:
    """Goals that hold without a measurement: what the defaults alone decide."""
    return page_of(about, {part: [] for part in PARTS}).count("| reached |")
