"""How well made images agree with a prompt: what a finder answers counts before the embedding."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgen.encoders.finder import Found
from medgen.finding import Finding, Presence, Side
from medgen.io import files
from medgen.modality import Kind, Modality
from medgen.phantom.chest_study import ChestConfig
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.facts import Fact, answers_of, read_facts
from medgen.tasks.generating.agreement import Agreement, agreement_of, log_likelihood
from medgen.tasks.phantom import PhantomConfig, simulate

CLAIMS = ("nodule:left", "nodule:right", "oedema")
REGIONS = ("lower_lobe", "upper_lobe")


def answered(odds: list[float], severity: list[float], region: list[float]) -> Found:
    """One study; likeness is that of the first claim, and of all others even."""
    nothing = torch.zeros(1, 3)
    graded, placed = torch.zeros(1, 3, 3), torch.zeros(1, 3, 2)
    graded[0, 0], placed[0, 0] = torch.tensor(severity), torch.tensor(region)
    states = torch.zeros(1, 3, 1), torch.zeros(1, 3, 4)
    return Found(torch.tensor([odds]), nothing, graded, placed, *states, nothing)


def of(found: Found, *findings: Finding) -> float:
    truth = answers_of([Fact(one, one.size_mm) for one in findings], CLAIMS, REGIONS)
    return float(log_likelihood(found, truth)[0])


def test_the_likelihood_is_that_of_all_answers() -> None:
    """By hand: probabilities of .9, .2 and .5; of its being large .5, in the upper lobe .8."""
    odds = [math.log(9), math.log(1 / 4), 0.0]
    found = answered(odds, [0.0, 0.0, math.log(2)], [0.0, math.log(4)])
    left = Finding("nodule", side=Side.LEFT)
    assert of(found, left) == pytest.approx(math.log(0.9 * 0.8 * 0.5), abs=1e-5)
    large = Finding("nodule", side=Side.LEFT, severity="large", region="upper_lobe")
    assert of(found, large) == pytest.approx(math.log(0.9 * 0.8 * 0.5 * 0.5 * 0.8), abs=1e-5)
    both = Finding("nodule", side=Side.BOTH)
    assert of(found, both) == pytest.approx(math.log(0.9 * 0.2 * 0.5), abs=1e-5)
    nothing = Finding("oedema", Presence.ABSENT)
    assert of(found, nothing) == pytest.approx(math.log(0.1 * 0.8 * 0.5), abs=1e-5)


def test_what_nobody_knows_counts_nothing() -> None:
    found = answered([5.0, -5.0, 3.0], [0.0] * 3, [0.0] * 2)
    maybe = Finding("nodule", Presence.UNCERTAIN, side=Side.LEFT)
    unsided = Finding("nodule")  # on a side that nobody tells
    oedema = Finding("oedema")
    right = [math.log(torch.tensor(one).sigmoid()) for one in (5.0, 3.0)]
    assert of(found, maybe, oedema) == pytest.approx(sum(right), abs=1e-5)
    assert of(found, unsided, oedema) == pytest.approx(right[1], abs=1e-5)


def test_what_images_show_counts_before_how_near_they_lie() -> None:
    assert max(Agreement(0.2, -1.0), Agreement(0.9, -2.0), key=lambda one: one.rank).cosine == 0.2
    assert max(Agreement(0.2), Agreement(0.9), key=lambda one: one.rank).cosine == 0.9


def test_what_a_radiograph_shows_is_likelier_than_its_mirror_image(tmp_path: Path) -> None:
    """Of a made-up chest; the other report says the other sides."""
    study = ChestConfig(seed=3, kinds=(Kind(Modality.XRAY),), ill=1.0)
    (made,) = simulate(PhantomConfig(study=study), tmp_path)
    (path,) = made.study.of(Modality.XRAY)
    findings = [one.finding for one in read_facts(path.parent / "findings.json")]
    picture = files.read(path)
    other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}
    turned = [replace(one, side=other.get(one.side, one.side)) for one in findings]
    assert turned != findings
    encoders = load_aligner("flows", torch.device("cpu"))

    def likelihood(said: list[Finding]) -> float:
        seen = [(Modality.XRAY, picture)]
        found = agreement_of(seen, "", said, encoders, torch.device("cpu"))
        assert found.likelihood is not None
        return found.likelihood

    assert likelihood(findings) > likelihood(turned) + 1
    for said in ([], [Finding("haemorrhage", side=Side.LEFT)]):  # of a head
        nothing = agreement_of([(Modality.XRAY, picture)], "", said, encoders, torch.device("cpu"))
        assert nothing.likelihood is None
