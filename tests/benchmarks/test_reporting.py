"""What is said of reports: the tables, the goals, the commands that train what reports."""

from pathlib import Path

from benchmarks.report_baseline import NORMALS, UNTOLD, lines
from benchmarks.reporting import LATENT, PART, TOKENS, reporter_at
from benchmarks.reporting_more import CT, VIEWS
from benchmarks.reporting_tables import reporting_goals, reporting_tables
from benchmarks.rows import Row
from medgen.tasks.rounds import round_named


def row(subject: str, method: str, **scores: float) -> Row:
    named = {key.replace("_", "-"): value for key, value in scores.items()}
    return Row(PART, subject, "xray", "text", method, named, 0.0, "", "")


def gain(subject: str, method: str, more: float, low: float, high: float) -> Row:
    scores = {"findings-f1": 0.9, "findings-side-accuracy": 1.0, "n": 100.0}
    scores |= {"mistakes more": more, "low": low, "high": high}
    return Row(PART, subject, "xray", "text", method, scores, 0.0, "", "")


ROWS = [
    row("held-out", TOKENS, findings_f1=0.9, findings_side_accuracy=0.9, n=100.0),
    row("held-out", LATENT, findings_f1=0.3, n=100.0),
    gain("images", CT, -0.1, -0.2, -0.05),
    gain("views", VIEWS, 0.1, -0.2, 0.5),
    row("normals", TOKENS, present=0.04, n=200.0),
    Row(PART, "curve", "xray", "text", TOKENS, {"9 said": 0.95, "9 true": 0.9, "9 n": 7.0,
        "calibration error": 0.05}, 0.0, "", ""),
]  # fmt: skip


def test_goals_are_reached_or_not_or_open() -> None:
    reached = [goal.is_reached for goal in reporting_goals(ROWS)]
    assert reached == [True, False, True, True, None, False, None, True, None, None]


def test_a_line_for_each_method_and_each_bin() -> None:
    words, _, gains, _, _, _, curve, safe, _ = reporting_tables(ROWS)
    assert gains.lines == [
        [CT, 0.9, None, None, 1.0, "-0.10 [-0.20, -0.05]", 100.0],
        [VIEWS, 0.9, None, None, 1.0, "+0.10 [-0.20, +0.50]", 100.0],
    ]
    assert [line[0] for line in words.lines] == [TOKENS, LATENT]
    assert curve.lines == [["0.9 to 1", 0.95, 0.9, 7.0], ["error", 0.05, None, None]]
    assert ["normals: present", 0.04] in safe.lines
    assert all(not table.lines for table in reporting_tables([]))


def test_nothing_is_measured_without_a_model() -> None:
    assert reporter_at("base") is None


def test_what_reports_are_held_against_can_be_made() -> None:
    untold, normal, *_ = lines(Path("runs"))
    assert normal[normal.index("-o") + 1] == str(Path("runs") / NORMALS)
    assert untold[untold.index("-o") + 1] == str(Path("runs") / UNTOLD)
    settings = [untold[at + 1] for at, word in enumerate(untold) if word == "--set"]
    config = round_named("report:words").settle(settings=tuple(settings))
    assert not config.is_told
