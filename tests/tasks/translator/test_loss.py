"""The truth costs nothing, voxels of weight 0 do not count, and CT errors are in kilo-HU."""

from dataclasses import replace

import pytest
import torch

from medgen.modality import Kind
from medgen.tasks.translator.examples import Example
from medgen.tasks.translator.loss import (
    DIFFUSION_WEIGHT,
    MRI_WEIGHT,
    SQUARES,
    translator_loss,
)
from medgen.tasks.translator.translator import CT, HU_PER_UNIT, Translator, TranslatorConfig

SIZE = (8, 8, 8)
T1 = Kind.parse("mri:t1")


class Oracle(Translator):
    """Answers with the latents of images it was given beforehand."""

    def __init__(self, *images: torch.Tensor, kinds: list[Kind]) -> None:
        super().__init__(TranslatorConfig(widths=(8, 8)))
        self.answer = torch.cat(
            [
                self.codec(kind).encode(image[None])
                for image, kind in zip(images, kinds, strict=True)
            ]
        )

    def forward(self, *asked: torch.Tensor) -> torch.Tensor:
        return self.answer


def example(kind: Kind, *, time: float = 1.0, seed: int = 0) -> Example:
    generator = torch.Generator().manual_seed(seed)
    return Example(
        images=torch.rand(4, *SIZE, generator=generator),
        present=torch.tensor([0.0, 1, 0, 0]),
        target=torch.rand(1, *SIZE, generator=generator) - 0.5,
        kind=kind,
        weight=torch.ones(1, *SIZE),
        is_aligned=True,
        time=time,
        noise=torch.randn(8, 4, 4, 4, generator=generator),
    )


def loss_of(
    *items: Example, wrong: float | torch.Tensor = 0.0, squares: float = SQUARES
) -> dict[str, float]:
    kinds = [item.kind for item in items]
    oracle = Oracle(*(item.target + wrong for item in items), kinds=kinds)
    terms = translator_loss(oracle, list(items), squares=squares)
    return {name: float(value) for name, value in terms.items()}


@pytest.mark.parametrize("kind", [CT, T1])
@pytest.mark.parametrize("time", [1.0, 0.4])
def test_the_truth_costs_nothing(kind: Kind, time: float) -> None:
    assert loss_of(example(kind, time=time))["total"] == pytest.approx(0, abs=1e-6)


def test_a_hundred_hu_too_much_is_a_tenth_of_a_kilo_hu() -> None:
    found = loss_of(example(CT), wrong=100 / HU_PER_UNIT)
    assert found["ct"] == pytest.approx(0.1, rel=1e-4)
    assert found["total"] == pytest.approx(0.1 + SQUARES * 0.1**2, rel=1e-4)
    assert found["mri"] == found["diffusion"] == 0


def test_squares_do_not_count_where_nothing_is_aligned() -> None:
    found = loss_of(replace(example(CT), is_aligned=False), wrong=500 / HU_PER_UNIT)
    assert found["total"] == pytest.approx(0.5, rel=1e-4)


def test_squares_count_as_much_as_is_asked() -> None:
    wrong = 500 / HU_PER_UNIT
    for squares in (0.0, 0.2):
        found = loss_of(example(CT), wrong=wrong, squares=squares)
        assert found["total"] == pytest.approx(0.5 + squares * 0.5**2, rel=1e-4)


def test_an_mri_error_is_in_units_of_the_image() -> None:
    found = loss_of(example(T1), wrong=0.2)
    assert found["mri"] == pytest.approx(0.2, rel=1e-4)
    assert found["total"] == pytest.approx(MRI_WEIGHT * (0.2 + SQUARES * 0.2**2), rel=1e-4)


def test_below_time_1_the_latents_square_counts() -> None:
    """A constant error e of the image is sqrt(8) e / scale in one band of eight."""
    found = loss_of(example(CT, time=0.5), wrong=0.1)
    squared = (8**0.5 * 0.1 / 0.7) ** 2 / 8
    assert found["diffusion"] == pytest.approx(squared, rel=1e-4)
    assert found["total"] == pytest.approx(DIFFUSION_WEIGHT * squared, rel=1e-4)


@pytest.mark.parametrize("time", [1.0, 0.5])
def test_where_the_weight_is_0_errors_are_free(time: float) -> None:
    weight = torch.ones(1, *SIZE)
    weight[..., :4] = 0
    wrong = torch.zeros(1, *SIZE)
    wrong[..., :4] = 0.3
    item = replace(example(CT, time=time), weight=weight)
    assert loss_of(item, wrong=wrong)["total"] == pytest.approx(0, abs=1e-6)


def test_weights_are_relative() -> None:
    item = example(CT)
    lighter = replace(item, weight=item.weight * 0.5)
    assert loss_of(lighter, wrong=0.1)["ct"] == pytest.approx(loss_of(item, wrong=0.1)["ct"])


def test_an_example_without_any_weight_is_no_nan() -> None:
    item = replace(example(CT), weight=torch.zeros(1, *SIZE))
    assert loss_of(item, wrong=0.1)["total"] == 0


def test_a_batch_is_the_mean_of_its_items() -> None:
    items = [example(CT, seed=1), example(T1, seed=2), example(CT, seed=3, time=0.3)]
    alone = [loss_of(item, wrong=0.05) for item in items]
    both = loss_of(*items, wrong=0.05)
    assert both["total"] == pytest.approx(sum(one["total"] for one in alone) / 3, rel=1e-4)
    assert both["ct"] == pytest.approx(alone[0]["ct"], rel=1e-4)


def test_the_loss_teaches_the_network() -> None:
    torch.manual_seed(0)
    translator = Translator(TranslatorConfig(widths=(8, 8)))
    translator_loss(translator, [example(CT), example(T1, time=0.5)])["total"].backward()
    assert all(p.grad is not None for p in translator.parameters())
