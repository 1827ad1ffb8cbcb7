"""Rounds, their presets, and the one dial of their size."""

import pytest

from medgen.errors import UsageError
from medgen.tasks.rehearsal import rehearse
from medgen.tasks.rounds import ROUNDS, round_named

ALONE = [name for name in ROUNDS if name != "text-xray"]  # which is of flows that are there


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        (name, preset)
        for name in ALONE
        for preset in sorted({"base", *ROUNDS[name].presets} - {"paper"})  # a step takes minutes
    ],
)
def test_every_preset_can_take_a_step(name: str, preset: str) -> None:
    chosen = round_named(name)
    settings = ("fit.batch=1",) if name != "translator" else ("fit.batch=1", "examples.patch=64")
    plan = rehearse(name, chosen.settle(preset=preset, settings=settings), None)
    assert plan.parameters > 1000
    assert plan.memory_gb > 0
    assert plan.step_seconds is not None
    assert plan.step_seconds > 0


# The U-Net of Stable Diffusion 1 has 860 million weights (its model card); CoDi's flow of images is
# that network, and the conditioner comes on top.
def test_paper_is_the_published_size() -> None:
    plan = rehearse("flow:xray", round_named("flow:xray").settle(preset="paper"), None)
    assert 860e6 < plan.parameters < 890e6
    assert plan.memory_gb > 5 * 4 * 0.86


@pytest.mark.parametrize("name", ALONE)
def test_the_dial_scales_the_weights(name: str) -> None:
    chosen = round_named(name)
    small, large = (
        rehearse(name, chosen.settle(size=size, settings=("fit.batch=1",)), None).parameters
        for size in (1.0, 2.0)
    )
    assert 1.5 < large / small < 5


def test_a_preset_is_weaker_than_every_setting() -> None:
    config = round_named("flow:xray").settle(preset="tiny", settings=("flow.widths=[64, 64]",))
    assert config.flow.widths == (64, 64)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="--round vae: is not one of translator, codec:xray"):
        round_named("vae")
    with pytest.raises(UsageError, match="--preset huge: this round has base, tiny, paper"):
        round_named("flow:xray").settle(preset="huge")
    with pytest.raises(UsageError, match="--size 100: choose"):
        round_named("flow:xray").settle(size=100)
