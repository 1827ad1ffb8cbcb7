"""What is not given cannot matter: not the noise at time 1, not what absent channels hold."""

from typing import Any

import pytest
import torch

from medgen.errors import UsageError
from medgen.modality import Kind
from medgen.tasks.translator.translator import (
    CT,
    TARGETS,
    Sources,
    Translator,
    TranslatorConfig,
    index_of,
    stretched,
)

GRID = (8, 8, 12)
T2 = Kind.parse("mri:t2")


@pytest.fixture(scope="module")
def translator() -> Translator:
    torch.manual_seed(0)
    made = Translator(TranslatorConfig(widths=(8, 8))).eval()
    for layer in made.network.modulation:  # as after some training
        torch.nn.init.normal_(layer.weight, std=0.2)
    return made


def sources(*present: float) -> Sources:
    torch.manual_seed(1)
    images = torch.rand(1, 4, *(2 * size for size in GRID)) * 2 - 1
    return Sources(images, torch.tensor([present], dtype=torch.float32))


@torch.no_grad()
def answer(
    translator: Translator, given: Sources, *, time: float, noise: int, target: Kind = CT
) -> torch.Tensor:
    noisy = torch.randn(1, 8, *GRID, generator=torch.Generator().manual_seed(noise))
    conditions = translator.conditions([target], given.present)
    return translator(noisy, torch.tensor([time]), translator.encode(given), conditions)


def test_at_time_1_the_noise_is_not_heard(translator: Translator) -> None:
    given = sources(0, 1, 0, 0)
    first = answer(translator, given, time=1.0, noise=1)
    assert torch.equal(first, answer(translator, given, time=1.0, noise=2))


def test_before_time_1_it_is(translator: Translator) -> None:
    given = sources(0, 1, 0, 0)
    first = answer(translator, given, time=0.5, noise=1)
    assert not torch.allclose(first, answer(translator, given, time=0.5, noise=2))


@pytest.mark.parametrize("content", [0.0, 0.7, float("nan")])
def test_the_content_of_an_absent_channel_does_not_matter(
    translator: Translator, content: float
) -> None:
    given = sources(0, 1, 0, 1)
    other = Sources(given.images.clone(), given.present)
    other.images[:, [0, 2]] = content
    first, second = (answer(translator, each, time=0.5, noise=1) for each in (given, other))
    assert torch.equal(first, second)


def test_the_target_and_what_is_present_change_the_answer(translator: Translator) -> None:
    given = sources(0, 1, 0, 0)
    to_ct = answer(translator, given, time=1.0, noise=1)
    assert not torch.allclose(to_ct, answer(translator, given, time=1.0, noise=1, target=T2))


def test_the_latents_stand_in_the_order_of_the_channels(translator: Translator) -> None:
    given = sources(1, 0, 1, 0)
    latent = translator.encode(given)
    assert torch.equal(latent[:, :8], translator.ct_codec.encode(given.images[:, :1]))
    assert torch.equal(latent[:, 16:24], translator.mri_codec.encode(given.images[:, 2:3]))
    assert not latent[:, 8:16].any()
    assert not latent[:, 24:].any()


def test_with_a_knee_mris_come_again_with_their_dark_end_stretched() -> None:
    translator = Translator(TranslatorConfig(widths=(8, 8), knee=0.02))
    given = sources(1, 0, 1, 0)
    latent = translator.encode(given)
    assert latent.shape[1] == 8 * (4 + 3)
    plain = Translator(TranslatorConfig(widths=(8, 8))).encode(given)
    assert torch.equal(latent[:, :32], plain)
    again = stretched(given.images[:, 2:3], 0.02)
    assert torch.equal(latent[:, 40:48], translator.mri_codec.encode(again))
    assert not latent[:, 32:40].any()
    assert not latent[:, 48:].any()


def test_the_stretch_is_linear_below_its_knee_and_logarithmic_above() -> None:
    """Ends stay; a hundredth near black moves far, and each doubling above by as much."""
    shares = torch.tensor([0.0, 0.001, 0.002, 0.2, 0.4, 0.8, 1.0])
    found = (stretched((2 * shares - 1)[None, None], 0.02)[0, 0] + 1) / 2
    assert found[0] == 0
    assert found[-1] == pytest.approx(1)
    assert found[2] / found[1] == pytest.approx(2, rel=0.01)
    assert found[5] - found[4] == pytest.approx(float(found[4] - found[3]), rel=0.01)
    assert found[1] > 10 * shares[1]
    assert stretched(torch.tensor([[[-1.2]]]), 0.02) == -1


def test_each_item_has_its_own_absent_channels(translator: Translator) -> None:
    one, other = sources(1, 0, 0, 0), sources(0, 1, 1, 0)
    both = Sources(torch.cat([one.images, other.images]), torch.cat([one.present, other.present]))
    items = torch.cat([translator.encode(one), translator.encode(other)])
    assert torch.equal(translator.encode(both), items)


def test_the_conditions_are_the_target_and_then_what_is_given(translator: Translator) -> None:
    present = torch.tensor([[0.0, 1, 0, 1], [1, 0, 0, 0]])
    found = translator.conditions([CT, T2], present)
    assert found.tolist() == [[1, 0, 0, 0, 0, 0, 1, 0, 1], [0, 0, 1, 0, 0, 1, 0, 0, 0]]


def test_the_order_of_targets_is_what_weights_were_trained_with() -> None:
    assert [str(kind) for kind in TARGETS] == ["ct", "mri:t1", "mri:t2", "mri:flair", "mri:pd"]


@pytest.mark.parametrize("word", ["xray", "mri", "text"])
def test_other_targets_are_refused_by_name(word: str) -> None:
    with pytest.raises(UsageError, match=f"'{word}'; choose one of ct, mri:t1"):
        index_of(Kind.parse(word))


def test_a_batch_is_its_items(translator: Translator) -> None:
    given = sources(0, 1, 0, 0)
    double = Sources(given.images.repeat(2, 1, 1, 1, 1), given.present.repeat(2, 1))
    noisy = torch.randn(2, 8, *GRID)
    time = torch.tensor([0.3, 1.0])
    conditions = translator.conditions([CT, T2], double.present)
    latent = translator.encode(double)
    with torch.no_grad():
        both = translator(noisy, time, latent, conditions)
        for i in range(2):
            one = slice(i, i + 1)
            alone = translator(noisy[one], time[one], latent[one], conditions[one])
            assert (both[one] - alone).abs().max() < 1e-5


@pytest.mark.parametrize(
    "wrong",
    [
        {"mri_slots": 0},
        {"widths": ()},
        {"widths": (0, 8)},
        {"detail": -1},
        {"spacing": 0.0},
        {"knee": 1.0},
    ],
)
def test_sizes_that_no_translator_has(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        TranslatorConfig(**wrong)
