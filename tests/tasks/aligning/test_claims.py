"""Images that a finder reads: it stays, and what reads its claims meets the text."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgen.encoders.claims import ClaimEncoder
from medgen.encoders.finder import Finder, FinderConfig
from medgen.errors import ModelError, UsageError
from medgen.modality import Kind, Modality
from medgen.tasks.align import align
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.aligning.start import Basis, with_basis
from medgen.tasks.finder.model import load_finder
from medgen.tasks.fitting.fit import MODEL
from tests.tasks.align_toy import write_corners
from tests.tasks.aligning.test_cells import CONFIG
from tests.tasks.report_toy import toy_reporter

CPU = torch.device("cpu")
XRAY = Modality.XRAY


@pytest.fixture(scope="module")
def corners(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Studies, encoders of them, and a finder of radiographs; none has learned much."""
    return made(tmp_path_factory.mktemp("claims"), encoders=2, finder=2)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The same, which have."""
    return made(tmp_path_factory.mktemp("learned"), encoders=120, finder=150)


def made(folder: Path, *, encoders: int, finder: int) -> tuple[Path, Path, Path]:
    """Of so many steps."""
    manifest, init = write_corners(folder), folder / "first" / MODEL
    first = replace(CONFIG, cells=0, fit=replace(CONFIG.fit, steps=encoders))
    list(align(first, folder / "first", manifest=manifest))
    return manifest, init, toy_reporter(manifest, init, folder, finder)


@pytest.mark.slow
def test_what_reads_the_claims_learns(learned: tuple[Path, Path, Path], tmp_path: Path) -> None:
    manifest, init, reporter = learned
    config = replace(CONFIG, init=str(init), finder=str(reporter), train=("xray",))
    *_, last = align(config, tmp_path, manifest=manifest)
    assert last.loss["text-xray"] < 0.5
    loaded, finder = load_aligner(tmp_path / MODEL, CPU), load_finder(reporter, CPU)
    assert loaded.standard == finder.standard
    encoder = loaded.encoder_of(XRAY)
    assert isinstance(encoder, ClaimEncoder)
    mine, theirs = encoder.finder.state_dict(), finder.finder.state_dict()
    assert mine
    assert all(torch.equal(one, theirs[name]) for name, one in mine.items())
    worth = finder.calibration.of([Kind(XRAY)])
    assert encoder.scale.tolist() == pytest.approx(worth.scale, abs=2e-3)
    text = load_aligner(init, CPU).aligner.text_encoder.state_dict()
    assert all(
        torch.equal(one, text[name])
        for name, one in loaded.aligner.text_encoder.state_dict().items()
    )


@pytest.mark.slow
def test_it_goes_on_without_the_finders_model(
    corners: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    manifest, init, reporter = corners
    short = replace(CONFIG, train=("xray",), fit=replace(CONFIG.fit, steps=2))
    list(
        align(
            replace(short, init=str(init), finder=str(reporter)), tmp_path / "a", manifest=manifest
        )
    )
    again = replace(short, init=str(tmp_path / "a" / MODEL))
    list(align(again, tmp_path / "b", manifest=manifest))
    one, two = (load_aligner(tmp_path / run / MODEL, CPU).encoder_of(XRAY) for run in "ab")
    assert isinstance(two, ClaimEncoder)
    assert isinstance(one, ClaimEncoder)
    assert not torch.equal(one.which, two.which)
    before, after = one.finder.state_dict(), two.finder.state_dict()
    assert all(torch.equal(weights, after[name]) for name, weights in before.items())
    with pytest.raises(UsageError, match="cells=3"):
        list(align(replace(again, cells=0), tmp_path / "c", manifest=manifest))


def test_a_finder_that_does_not_read_such_images_is_refused(
    corners: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    manifest, init, reporter = corners
    config = replace(CONFIG, init=str(init), finder=str(reporter), train=("ct",))
    with pytest.raises(ModelError, match="reads xray, xray:lateral, not ct"):
        list(align(config, tmp_path, manifest=manifest))
    with pytest.raises(ModelError, match="cannot report"):
        list(align(replace(config, finder=str(init)), tmp_path, manifest=manifest))


def test_an_encoder_that_stays_keeps_its_views(corners: tuple[Path, Path, Path]) -> None:
    _, init, reporter = corners
    deep = FinderConfig(("mass:left",), ("upper_lobe",), ("ct",), widths=(8, 8), width=8)
    finder = replace(load_finder(reporter, CPU), finder=Finder(deep))
    basis = Basis(load_aligner(init, CPU), finder)
    config = replace(CONFIG, init=str(init), finder=str(reporter), train=("ct",))
    with pytest.raises(UsageError, match=f"xray: {init} reads it as other views"):
        with_basis(config, basis)
    assert basis.loaded is not None
    alike = replace(finder, standard=replace(finder.standard, side=basis.loaded.standard.side))
    found = with_basis(config, replace(basis, finder=alike))
    assert found.encoders.ct.finder == deep
    assert found.encoders.ct.embedding == basis.loaded.aligner.embedding
