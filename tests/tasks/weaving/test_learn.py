"""A concept is learned from a few examples: the same of the same seed, and nothing else changes."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from medgen.errors import InputError, UsageError
from medgen.io.geometry import Geometry
from medgen.modality import Kind
from medgen.tasks.weaving.examples import read_examples
from medgen.tasks.weaving.learn import Example, LearnConfig, Learned, learn, workshop
from medgen.tasks.weaving.loom import Workshop
from tests.tasks.align_toy import PLACES
from tests.tasks.weave_toy import FEW, corner_examples, ct, ct_examples, learned, save_mask


@pytest.fixture
def examples(corner_flows: SimpleNamespace) -> list[Example]:
    return corner_examples(corner_flows.manifest.parent)


def test_a_seed_is_a_concept(corner_flows: SimpleNamespace, examples: list[Example]) -> None:
    one, same, other = (learned(examples, corner_flows.model, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.concept.token, same.concept.token)
    assert not torch.equal(one.concept.token, other.concept.token)
    assert one.card == same.card


def test_the_card_says_what_it_is(corner_flows: SimpleNamespace, examples: list[Example]) -> None:
    card = learned(examples, corner_flows.model, licence="CC0-1.0", data="squares").card
    assert (card.name, card.kind, card.says, card.steps) == ("mass", "xray", "Mass.", 6)
    assert (card.licence, card.data, card.bank.examples) == ("CC0-1.0", "squares", 4)
    assert card.bank.mean.contrast > 1  # squares of 250 on 40


def test_every_step_is_told(corner_flows: SimpleNamespace, examples: list[Example]) -> None:
    config = LearnConfig(name="mass", model=str(corner_flows.model), **FEW)
    told = list(learn(examples, config, priors=[examples[0].image]))
    assert [one.step for one in told[:-1]] == [1, 2, 3, 4, 5, 6]
    assert isinstance(told[-1], Learned)


def test_an_instant_concept_has_no_training_and_hears_its_examples(
    corner_flows: SimpleNamespace, examples: list[Example]
) -> None:
    one = learned(examples[:1], corner_flows.model, instant=True)
    other = learned(examples[3:], corner_flows.model, instant=True)
    assert one.card.steps == 0
    assert all(not change.any() for change in one.concept.keys.values())
    assert not torch.allclose(one.concept.said, other.concept.said)
    with pytest.raises(UsageError, match="takes 1 to 5 examples, not 6"):
        learned(examples[:3] * 2, corner_flows.model, instant=True)


def test_one_example_is_told_to_be_few(
    corner_flows: SimpleNamespace, examples: list[Example], caplog: pytest.LogCaptureFixture
) -> None:
    assert learned(examples[:1], corner_flows.model, steps=1).card.bank.examples == 1
    assert "1 example: the concept will be what is seen there; give 3 or more" in caplog.text


def test_examples_are_of_one_kind(corner_flows: SimpleNamespace, examples: list[Example]) -> None:
    odd = replace(examples[0], image=replace(examples[0].image, kind=None))
    with pytest.raises(UsageError, match="of one kind each concept"):
        learned([examples[1], odd], corner_flows.model)
    with pytest.raises(UsageError, match="of one kind each concept"):
        learned([], corner_flows.model)
    with pytest.raises(UsageError, match="a concept needs a name"):
        LearnConfig()
    with pytest.raises(UsageError, match="is no name for a mask's file"):
        LearnConfig(name="../mass")


def test_volumes_are_seen_at_one_spacing(
    world: SimpleNamespace,
    volumes: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """16 voxels of 4 mm hold a head of 60 mm, and not one of twice that; whichever comes first."""

    def of_two(*words: Any) -> Workshop:
        shop = workshop(*words)
        return replace(shop, loaded=replace(shop.loaded, spacings=(4.0, 8.0)))

    monkeypatch.setattr("medgen.tasks.weaving.learn.workshop", of_two)
    large = ct_examples(ct(tmp_path / "a.nii.gz", volumes.head))[0]
    half = Geometry(large.image.geometry.affine @ np.diag([0.5, 0.5, 0.5, 1]))
    small = replace(large, image=replace(large.image, geometry=half))
    one, other = (
        learned(list(them), world.flows, instant=True) for them in ((large, small), (small, large))
    )
    assert one.card.spacing == other.card.spacing == 8.0
    torch.testing.assert_close(one.concept.said, other.concept.said)
    assert "the largest of the examples needs 8 mm; all are seen so" in caplog.text
    assert learned([small], world.flows, instant=True).card.spacing == 4.0


def test_images_of_the_class_are_of_the_same_kind_and_of_use(
    corner_flows: SimpleNamespace, examples: list[Example]
) -> None:
    config = LearnConfig(name="mass", model=str(corner_flows.model), **FEW)
    other = replace(examples[0].image, kind=Kind.parse("xray:lateral"))
    with pytest.raises(UsageError, match="--prior-image: is xray:lateral, and the examples are"):
        list(learn(examples, config, priors=[other]))
    for useless in ({"instant": True}, {"prior": 0.0}):
        with pytest.raises(UsageError, match="use none; leave it out"):
            list(learn(examples, replace(config, **useless), priors=[examples[0].image]))


def test_masks_go_with_images(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    studies = corner_flows.manifest.parent
    images = [str(studies / f"{number}.png") for number in range(2)]
    regions = [one.region for one in corner_examples(studies)]
    masks = [save_mask(regions[at], tmp_path / f"{at}.png") for at in range(2)]
    listed, named = (read_examples(images, given, "mass", most=9) for given in (masks, [tmp_path]))
    for at in range(2):
        assert np.array_equal(listed.examples[at].region, regions[at])
        assert np.array_equal(named.examples[at].region, regions[at])
        assert listed.examples[at].image.kind == Kind.parse("xray")
    whole = read_examples(images, [], "mass", most=9)
    assert whole.examples[0].region.all()
    with pytest.raises(UsageError, match="1 masks for 2 images"):
        read_examples(images, masks[:1], "mass", most=9)
    masks[1].unlink()
    with pytest.raises(UsageError, match=r"has no file named like 1\.png"):
        read_examples(images, [tmp_path], "mass", most=9)
    empty = save_mask(np.zeros((64, 64), bool), tmp_path / "empty.png")
    with pytest.raises(InputError, match="is empty"):
        read_examples(images[:1], [empty], "mass", most=9)


def test_a_manifest_names_masks_by_the_concept(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    studies = corner_flows.manifest.parent
    rows = []
    for number, one in enumerate(corner_examples(studies)):
        (tmp_path / f"m{number}").mkdir()
        (tmp_path / f"{number}.png").write_bytes((studies / f"{number}.png").read_bytes())
        save_mask(one.region, tmp_path / f"m{number}" / "mass.png")
        rows.append(
            f'{{"id": "s{number}", "patient": "p{number}", "xray": "{number}.png", '
            f'"masks": "m{number}"}}'
        )
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(rows))
    assert len(read_examples([str(manifest)], [], "mass", most=9).examples) == len(PLACES)
    assert len(read_examples([str(manifest)], [], "mass", most=2).examples) == 2
    with pytest.raises(UsageError, match="no study to learn from has a mask nodule"):
        read_examples([str(manifest)], [], "nodule", most=9)
    with pytest.raises(UsageError, match="names its masks itself"):
        read_examples([str(manifest)], [tmp_path], "mass", most=9)
