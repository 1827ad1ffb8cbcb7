"""Plainer ways to weave are what they say, and tables and goals are of what was measured."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks.rows import Row, Store
from benchmarks.weaving import (
    FEATURES,
    INSTANT,
    PART,
    PASTE,
    inpaint,
    mix_noise,
    resized,
    weavings,
)
from benchmarks.weaving_tables import weaving_goals, weaving_tables
from medgen.concepts.concept import concept_for
from medgen.concepts.template import inverted
from medgen.concepts.weaving import Loom, Pattern
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.sampler import last
from medgen.diffusion.schedule import uniform_stops
from medgen.diffusion.unet import UNet, UNetConfig

STOPS = uniform_stops(4)


def toy() -> SimpleNamespace:
    """A network, a template in it, and a pattern of one concept in the left half."""
    torch.manual_seed(0)
    config = UNetConfig(
        spatial_dims=2,
        in_channels=2,
        out_channels=2,
        widths=(8, 8),
        attention=(False, True),
        heads=2,
        norm_groups=4,
        context_width=4,
    )
    network = UNet(config).eval().requires_grad_(False)
    for one in network.parameters():
        one.add_(0.1 * torch.randn_like(one))
    loom = Loom(network, network, RectifiedFlow())
    clean, said = torch.randn(1, 2, 8, 8), torch.randn(1, 3, 4)
    concept = concept_for(network, said + 1).requires_grad_(False)
    half = (torch.arange(8) < 4).float().expand(8, 8)
    pattern = Pattern([concept], torch.stack([half, 1 - half]), said, guidance=1.0)
    template = inverted(loom.denoise(said), loom.process, clean, STOPS, refinements=20)
    return SimpleNamespace(loom=loom, pattern=pattern, template=template, clean=clean)


def test_noise_mixing_of_nothing_is_the_template() -> None:
    it = toy()
    nowhere = replace(it.pattern, guidance=0.0)
    woven = last(mix_noise(it.loom, nowhere, it.template, STOPS))
    torch.testing.assert_close(woven, it.clean, atol=1e-3, rtol=0)
    changed = last(mix_noise(it.loom, it.pattern, it.template, STOPS))
    assert (changed - it.clean)[..., :4].abs().mean() > 1e-3


def test_inpainting_keeps_what_is_known() -> None:
    it = toy()
    woven = last(inpaint(it.loom, it.pattern, it.template, STOPS))
    torch.testing.assert_close(woven[..., 4:], it.clean[..., 4:])
    assert (woven - it.clean)[..., :4].abs().mean() > 0.1


def test_a_picture_of_one_value_keeps_it() -> None:
    assert (resized(torch.full((3, 5), 2.0).numpy(), (6, 4)) == 2).all()


def row(name: str, method: str, **scores: float) -> Row:
    return Row(PART, name, "", "xray", method, scores, 1.0, "", "")


ROWS = [
    row("nodule", FEATURES, contrast=0.5, seam=1.1, judged=0.8, outside=0.0, learn=100.0),
    row("device", FEATURES, contrast=0.7, seam=1.1, judged=1.0, outside=0.0, learn=100.0),
    row("device", PASTE, contrast=0.2, seam=2.0, judged=1.0, outside=0.0),
]


def test_goals_are_of_the_means_and_open_where_nothing_was_measured() -> None:
    found = weaving_goals(ROWS)
    assert [goal.is_reached for goal in found] == [True, True, True, True, True, None]
    assert found[0].value == 0.6
    assert [goal.is_reached for goal in weaving_goals([])] == [None] * 6


def test_a_line_for_each_method_and_each_concept() -> None:
    every, each = weaving_tables(ROWS)
    assert [line[0] for line in every.lines] == [FEATURES, PASTE]
    assert [line[:2] for line in each.lines] == [
        ["nodule", FEATURES],
        ["device", FEATURES],
        ["device", PASTE],
    ]
    assert INSTANT not in [line[0] for line in every.lines]


def test_nothing_is_measured_without_a_model_or_studies(tmp_path: Path) -> None:
    assert not list(weavings("base", tmp_path, Store(tmp_path)))
    assert not list(weavings("flows", tmp_path, Store(tmp_path)))
