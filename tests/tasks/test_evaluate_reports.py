"""Reports are paired by name, from folders, lines or manifests."""

import json
from pathlib import Path

import pytest

from medgen.cli import app
from medgen.errors import InputError
from medgen.io.provenance import Provenance
from medgen.tasks.evaluate_reports import evaluate_reports, read_reports
from medgen.tasks.reporting.marks import marked

REPORTS = {"a": "Left effusion.", "b": "No effusion. Cardiomegaly.", "c": "Normal study."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    for name, report in REPORTS.items():
        (tmp_path / "reports" / f"{name}.txt").write_text(report)
    return tmp_path / "reports"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    rows = [{"id": name, "text": report} for name, report in REPORTS.items()]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "lines.jsonl"


@pytest.fixture
def manifest(tmp_path: Path, folder: Path) -> Path:
    rows = [{"id": n, "patient": n, "text": f"reports/{n}.txt"} for n in REPORTS]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "manifest.jsonl"


def test_all_ways_to_name_reports_are_one(folder: Path, lines: Path, manifest: Path) -> None:
    assert read_reports(folder) == read_reports(lines) == read_reports(manifest) == REPORTS
    found = evaluate_reports(lines, manifest)
    assert found.reports == 3
    assert found.scores["bleu-2"] == pytest.approx(1)
    assert found.scores["findings-f1"] == 1


def test_what_was_not_written_is_told(folder: Path, lines: Path) -> None:
    (folder / "b.txt").unlink()
    found = evaluate_reports(folder, lines)
    assert (found.reports, found.without_prediction) == (2, ("b",))


def test_what_there_is_no_truth_for_is_refused(folder: Path, lines: Path) -> None:
    (folder / "b.txt").rename(folder / "B.txt")
    with pytest.raises(InputError, match="B has no truth in"):
        evaluate_reports(folder, lines)


def test_what_medgen_writes_below_its_reports_is_no_part_of_them(folder: Path, lines: Path) -> None:
    made = Provenance("report", "tiny", "0" * 64, 7, 4)
    for name, report in REPORTS.items():
        (folder / f"{name}.txt").write_text(marked(report, ["42% of it is a left mass"], made))
    assert read_reports(folder) == REPORTS
    assert evaluate_reports(folder, lines).scores["rouge-l"] == pytest.approx(1)


def test_a_mark_of_bytes_and_odd_line_ends_inside_a_text_are_no_harm(tmp_path: Path) -> None:
    text = (
        "\ufeff" + json.dumps({"id": "a", "text": "Small\u2028mass."}, ensure_ascii=False) + "\r\n"
    )
    (tmp_path / "x.jsonl").write_bytes(text.encode())
    assert read_reports(tmp_path / "x.jsonl") == {"a": "Small\u2028mass."}
    (tmp_path / "b.txt").write_text("Small mass.", encoding="utf-8-sig")
    assert read_reports(tmp_path / "b.txt") == {"b": "Small mass."}


def test_a_text_file_that_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes("Ödem".encode("latin-1"))
    with pytest.raises(InputError, match=r"old\.txt: is not UTF-8; convert it with iconv"):
        read_reports(tmp_path)


def test_two_files_are_a_pair(folder: Path) -> None:
    found = evaluate_reports(folder / "a.txt", folder / "b.txt")
    assert found.scores["findings-f1"] == 0


def test_more_words_of_findings(folder: Path, tmp_path: Path) -> None:
    (folder / "c.txt").write_text("Water on the lung.")
    words = tmp_path / "own.toml"
    words.write_text('[finding]\npleural_effusion = ["water on the lung"]')
    assert evaluate_reports(folder, folder, [words]).findings["pleural_effusion"] == 1


def test_the_command(folder: Path, lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["evaluate", str(folder), str(lines), "--protocol", "report"]
    assert app.main(line) == 0
    assert "findings-f1" in capsys.readouterr().out
    assert app.main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["rouge-l"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", 'is not {"id"'),
        ("nothing", ":1: is not one JSON object in UTF-8 with each key once"),
        ('{"id": "a", "id": "b", "text": "x"}', ":1: is not one JSON object in UTF-8 with each"),
        (f'{{"id": "a", "text": "{"x" * 1_000_000}"}}', ":1: is longer than 1000000 bytes"),
        ("", "has no reports"),
        ('{"id": "a", "text": null}', 'is not {"id"'),
        ('{"id": "a", "text": "x"}\n\n{"id": "a", "text": "y"}', ":3: a has a report already"),
    ],
)
def test_bad_lines(tmp_path: Path, folder: Path, content: str, message: str) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(InputError, match=r"x\.jsonl") as caught:
        evaluate_reports(tmp_path / "x.jsonl", folder)
    assert message in str(caught.value)


def test_nothing_belongs_together(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("Normal.")
    with pytest.raises(InputError, match="no report of one has the name"):
        evaluate_reports(other, folder)
