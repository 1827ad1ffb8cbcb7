"""Rounds, their presets, and the one dial of their size."""

from dataclasses import replace
from typing import Any

import pytest

from medgen.checkpoint import model_folder, read_card
from medgen.config import from_mapping
from medgen.errors import UsageError
from medgen.latents.kl import KLCodec
from medgen.latents.kl_loss import CodecTraining
from medgen.tasks import rehearsal
from medgen.tasks.codecs.model import CodecPart
from medgen.tasks.flows.flow import FlowConfig
from medgen.tasks.going_on import going_on
from medgen.tasks.rehearsal import rehearse
from medgen.tasks.rounds import ROUNDS, round_named

TOGETHER = {"text-xray", "text-ct", "ct-mri"}  # of flows that are there
TOGETHER |= {f"{name}:{kind}" for name in ("instruct", "retrieval") for kind in ("ct", "mri")}
ALONE = [name for name in ROUNDS if name not in TOGETHER]


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        pytest.param(name, preset, marks=pytest.mark.slow if preset == "base" else ())
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


def test_what_goes_on_has_the_shape_that_it_had() -> None:
    parts = read_card(model_folder("flows")).parts
    flow, codec = round_named("flow:ct"), round_named("codec:ct")
    asked = flow.settle(settings=("init=flows",))
    known = from_mapping(FlowConfig, parts["flow-ct"].config)
    assert going_on(asked).flow == known != asked.flow
    asked = codec.settle(settings=("init=flows", "name=body"))
    own, part = going_on(asked), from_mapping(CodecPart, parts["codec-ct-body"].config)
    assert (own.codec, own.frame) == (part.codec, part.frame)
    assert own.codec != asked.codec
    for chosen in (flow, codec):
        wider = chosen.settle(size=2.0, settings=("init=flows",))
        assert going_on(wider) == wider  # the training will refuse it


@pytest.mark.parametrize("name", ALONE)
def test_the_dial_scales_the_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "available_bytes", lambda: 0.0)  # counted, not timed
    monkeypatch.setattr(rehearsal, "_remembered", lambda network, work: 0)  # nor walked through
    chosen = round_named(name)
    small, large = (
        rehearse(name, chosen.settle(size=size, settings=("fit.batch=1",)), None).parameters
        for size in (1.0, 2.0)
    )
    assert 1.5 < large / small < 5


def widths_of(config: Any, name: str) -> tuple[int, ...]:
    """What the dial scales."""
    for part in ROUNDS[name].widths:
        config = getattr(config, part)
    return config if isinstance(config, tuple) else (config,)


@pytest.mark.parametrize("name", ROUNDS)
@pytest.mark.parametrize("preset", ["base", "tiny", "paper"])
def test_the_dial_never_turns_the_other_way(name: str, preset: str) -> None:
    chosen = round_named(name)
    if preset not in ("base", *chosen.presets):
        pytest.skip("this round has no such preset")
    plain = widths_of(chosen.settle(preset=preset), name)
    for size in (0.1, 0.5, 0.9, 1.1, 2.0):
        scaled = widths_of(chosen.settle(preset=preset, size=size), name)
        for before, after in zip(plain, scaled, strict=True):
            assert (after <= before) if size < 1 else (after >= before)


def test_a_tiny_codec_shrinks_to_what_its_groups_divide() -> None:
    config = round_named("codec:xray").settle(preset="tiny", size=0.5)
    assert config.codec.widths == (8, 8, 8)
    assert round_named("flow:xray").settle(size=0.5).flow.widths == (64, 64)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("flow:xray", "flow.heads=3"),
        ("flow:xray", "flow.heads=0"),
        ("flow:xray", "flow.widths=[48, 64]"),
        ("flow:xray", "flow.conditioner.heads=5"),
        ("flow:text", "flow.heads=3"),
        ("codec:xray", "codec.norm_groups=7"),
        ("codec:text", "codec.heads=3"),
        ("text-xray", "cross.heads=3"),
        ("report:words", "writer.heads=3"),
    ],
)
def test_what_does_not_divide_is_refused_before_anything_is_built(name: str, setting: str) -> None:
    with pytest.raises(UsageError, match=r"does not divide a width of \d+; choose others$"):
        round_named(name).settle(settings=(setting,))


def test_levels_that_nobody_counted_are_refused() -> None:
    with pytest.raises(UsageError, match="attention has 2 levels, not 3"):
        round_named("flow:ct").settle(settings=("flow.widths=[32, 32, 32]",))
    with pytest.raises(UsageError, match="widths are empty"):
        round_named("flow:text").settle(settings=("flow.widths=[]",))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("report:finder", "finder.widths=[]"),
        ("report:finder", "finder.width=0"),
        ("report:finder", "standard.side=0"),
        ("report:finder", "augment.blur=-1"),
        ("report:words", "writer.layers=0"),
        ("report:words", "vocabulary=0"),
        ("codec:xray", "codec.widths=[]"),
        ("codec:xray", "codec.latent_channels=0"),
        ("codec:xray", "loss.critic_width=0"),
        ("codec:text", "codec.channels=0"),
        ("flow:xray", "flow.grid=[0, 0]"),
        ("flow:xray", "flow.conditioner.sources=[]"),
        ("flow:text", "flow.res_blocks=-1"),
        ("instruct", "reader.layers=-1"),
        ("refine:ct", "refiner.widths=[0]"),
        ("text-ct", "cross.most=0"),
    ],
)
def test_what_is_too_small_is_refused_before_anything_is_built(name: str, setting: str) -> None:
    key = setting.partition("=")[0].rpartition(".")[2]
    with pytest.raises(UsageError, match=rf"^{key} .*: choose \d+ or more$"):
        round_named(name).settle(settings=(setting,))


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("report:finder", "finder.blotted=2", r"blotted 2: choose a share in \[0, 1\)"),
        ("report:finder", 'finder.kinds=["ct", "ct"]', "kinds ct, ct: name each once"),
        ("report:finder", 'finder.claims=["mass:up"]', "claim 'mass:up': write FINDING, FINDING:l"),
        ("report:finder", 'finder.claims=["mass:both"]', "claim 'mass:both': write FINDING"),
        ("report:finder", 'finder.claims=["mass:"]', "claim 'mass:': write FINDING"),
        ("report:finder", 'finder.claims=[":left"]', "claim ':left': write FINDING"),
        ("flow:xray", 'told=["text", "text"]', "told text, text: name each once"),
        ("report:spots", 'spots=["mass", "mass"]', "spots mass, mass: name each once"),
        ("report:finder", "looking=nan", "looking is nan; expected a finite number"),
        ("codec:xray", "codec.offset=nan", "offset is nan; expected a finite number"),
        ("flow:ct", "flow.spacings=[0]", r"spacings \(0.0,\): choose millimetres above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        round_named(name).settle(settings=(setting,))


def test_a_rehearsed_codec_has_its_critic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "available_bytes", lambda: 0.0)
    chosen = round_named("codec:xray")
    config = chosen.settle(preset="tiny", settings=("fit.batch=1", "patch=64"))
    training = CodecTraining(KLCodec(config.codec), config.loss)
    plan = rehearse("codec:xray", config, None)
    learning = [each.numel() for each in training.parameters() if each.requires_grad]
    assert plan.parameters == sum(learning)
    assert plan.parameters > sum(each.numel() for each in training.codec.parameters())
    alone = replace(config, loss=replace(config.loss, adversarial=0.0))
    assert rehearse("codec:xray", alone, None).memory_gb < plan.memory_gb


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
