"""A finder of bright corners reports them: the table, the words, and nothing else."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medgen.errors import InputError, ModelError, UsageError
from medgen.finding import Presence, Side
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.latents.writer import Told
from medgen.modality import Kind
from medgen.tasks.report import Report, report
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.images import MOST, with_kinds
from medgen.tasks.reporting.writer_model import load_writer
from tests.tasks.align_toy import PLACES


@pytest.fixture(scope="module")
def config(corner_reports: SimpleNamespace) -> ReportConfig:
    return ReportConfig(
        model=str(corner_reports.model), device="cpu", operating_point=0.4, force=True
    )


def corner(reports: SimpleNamespace, number: int) -> MedicalImage:
    image = files.read(reports.studies / f"{number}.png")
    return with_kinds([image], [None])[0]


def present(made: Report) -> list[tuple[str, str | None]]:
    told = [row for row in made.rows if row.finding.presence is Presence.PRESENT]
    return [(row.claim, row.finding.region) for row in told]


@pytest.mark.parametrize("number", range(4))
def test_the_corner_is_found_and_told(
    corner_reports: SimpleNamespace, config: ReportConfig, number: int
) -> None:
    text = list(PLACES)[number]
    side = Side.LEFT if "left" in text else Side.RIGHT
    region = "upper_lobe" if "upper" in text else "lower_lobe"
    made = report([corner(corner_reports, number)], config)
    assert present(made) == [(f"mass:{side}", region)]
    assert f"FINDINGS: Mass in the {side} {region.replace('_', ' ')}." in made.text


def test_an_image_twice_is_one_and_the_order_is_irrelevant(
    corner_reports: SimpleNamespace, config: ReportConfig
) -> None:
    first, other = corner(corner_reports, 0), corner(corner_reports, 1)
    once, twice = report([first], config), report([first, first], config)
    assert [row.score for row in twice.rows] == pytest.approx([row.score for row in once.rows])
    one, two = report([first, other], config), report([other, first], config)
    assert one.text == two.text
    assert {row.claim: row.image for row in one.rows if row.image >= 0} == {
        row.claim: 1 - row.image for row in two.rows if row.image >= 0
    }


def test_candidates_are_ranked_and_a_seed_repeats(
    corner_reports: SimpleNamespace, config: ReportConfig
) -> None:
    drawn = replace(config, decoding="nucleus", nucleus=1.0, number=3, seed=5)
    one, two = (report([corner(corner_reports, 2)], drawn) for _ in range(2))
    assert one == replace(two, maps=one.maps)
    agreements = [each.agreement for each in one.candidates]
    assert agreements == sorted(agreements, key=lambda each: -(each or 0.0))


def test_length_is_obeyed(corner_reports: SimpleNamespace) -> None:
    loaded = load_writer(corner_reports.model, torch.device("cpu"))
    shape = loaded.writer.config
    nothing = torch.zeros(1, shape.claims, dtype=torch.long)
    seen = torch.zeros(1, 0, shape.seen)
    told = Told(nothing, nothing, nothing, nothing, seen, torch.zeros(1, 0, dtype=torch.bool))
    for row in loaded.writer.beam(told, beams=3, longest=5, length=1.0):
        assert len(row) <= 5


def test_the_latent_engine_hides_nothing(
    corner_reports: SimpleNamespace, config: ReportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "medgen.tasks.report.latent_words", lambda *_: "FINDINGS: Left pneumothorax."
    )
    made = report([corner(corner_reports, 0)], replace(config, engine="latent"))
    assert made.prose.findings[0].text == "Left pneumothorax."
    assert made.prose.dropped == ("Left pneumothorax.",)


def test_the_latent_engine_hears_what_encoders_know(
    corner_reports: SimpleNamespace, config: ReportConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(
        "medgen.tasks.report.latent_words", lambda heard, *_: str(told.append(len(heard)))
    )
    front, side = corner(corner_reports, 0), corner(corner_reports, 1)
    side = replace(side, kind=Kind.parse("xray:lateral"))
    latent = replace(config, engine="latent")
    assert "hears 1 of 2 images" in " ".join(report([front, side], latent).warnings)
    assert "hears" not in " ".join(report([front], latent).warnings)
    with pytest.raises(InputError, match="add one from the front, or take --engine tokens"):
        report([side], latent)
    assert report([side], config).rows
    assert told == [1, 1]


def volume(kind: Kind | None = None) -> MedicalImage:
    voxels = np.full((8, 8, 8), -1000.0)
    voxels[2:6, 2:6, 2:6] = 40.0
    return MedicalImage(voxels, Geometry(np.eye(4)), kind)


def test_images_that_are_not_what_they_are_said_to_be(
    corner_reports: SimpleNamespace, config: ReportConfig
) -> None:
    xray = corner(corner_reports, 0)
    with pytest.raises(InputError, match="is given as xray but is a volume"):
        with_kinds([volume()], [Kind.parse("xray")])
    with pytest.raises(InputError, match="which its numbers contradict"):
        with_kinds([volume()], [Kind.parse("mri:t1")])
    with pytest.raises(UsageError, match=f"12 images: a report is of 1 to {MOST}"):
        with_kinds([xray] * 12, [None] * 12)
    with pytest.raises(ModelError, match="is ct; reports reports xray, xray:lateral only"):
        report(with_kinds([volume()], [None]), config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operating_point": 0.9}, "choose 0.01 to 0.4"),
        ({"number": 0}, "number is 0; choose 1 or more"),
        ({"nucleus": 0.0}, "nucleus is in"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ReportConfig(**settings)  # type: ignore[arg-type]


def test_the_model_of_the_writer_needs_a_finder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        report([volume(Kind.parse("ct"))], ReportConfig(model=str(tmp_path / "none")))
