"""Prompts become the images that they describe; a sample is its seed and its number."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from medgen.diffusion.sampler import Step, sample_euler
from medgen.errors import InputError, MedgenError, ModelError, UsageError
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.metrics.copies import as_points, find_copies
from medgen.modality import Kind, Modality
from medgen.tasks.generate import generate, load_generator, understood
from medgen.tasks.generating.agreement import Agreement
from medgen.tasks.generating.config import SAMPLERS, GenerateConfig
from tests.tasks.align_toy import PLACES


@pytest.fixture
def config(corner_flows: SimpleNamespace) -> GenerateConfig:
    return GenerateConfig(model=str(corner_flows.model), device="cpu", number=3)


def quarters(image: MedicalImage) -> np.ndarray:
    """The mean of each quarter, as rows and columns."""
    half = image.voxels.shape[0] // 2
    return image.voxels.reshape(2, half, 2, half).mean((1, 3))


def made(text: str, config: GenerateConfig) -> list[np.ndarray]:
    prompt = understood(text, config)
    return [sample.image.voxels for sample in generate(prompt, [], config)]


def test_the_square_lies_where_the_prompt_says(config: GenerateConfig) -> None:
    right = 0
    for text, (row, column) in PLACES.items():
        for sample in generate(understood(text, config), [], config):
            brightest = int(quarters(sample.image).argmax())
            right += brightest == 2 * (row > 3) + (column > 3)
            assert sample.agreement is not None
    assert right >= 11  # of 12; chance is 3


def test_a_flow_that_knows_four_images_by_heart_is_caught(config: GenerateConfig) -> None:
    """It was trained on four images for 300 steps; held out are squares elsewhere."""
    training = [radiograph(row, column) for row, column in PLACES.values()]
    elsewhere = [(row, column) for row in range(7) for column in range(7)]
    held_out = [radiograph(*place) for place in elsewhere if place not in PLACES.values()]
    made = [small for text in PLACES for small in made_small(text, config)]
    points = [as_points(np.stack(each).astype(float)) for each in (made, training, held_out)]
    assert find_copies(*points).is_copying
    assert not find_copies(points[2][::2], points[1], points[2][1::2]).is_copying


def radiograph(row: int, column: int) -> np.ndarray:
    """Eight by eight: a square of two by two."""
    grey = np.full((8, 8), 40)
    grey[row : row + 2, column : column + 2] = 250
    return grey


def made_small(text: str, config: GenerateConfig) -> list[np.ndarray]:
    """Samples as means of blocks, eight by eight."""
    size = made(text, replace(config, number=1))[0].shape[0] // 8
    return [one.reshape(8, size, 8, size).mean((1, 3)) for one in made(text, config)]


def test_without_the_prompt_it_is_chance(config: GenerateConfig) -> None:
    free = replace(config, unconditional=True, number=12)
    samples = list(generate(understood("", free), [], free))
    corners = {int(quarters(sample.image).argmax()) for sample in samples}
    assert len(corners) >= 2
    assert {sample.agreement for sample in samples} == {None}


def test_a_sample_is_the_same_alone_and_among_many(config: GenerateConfig) -> None:
    text = next(iter(PLACES))
    many = made(text, replace(config, number=3, together=2))
    alone = made(text, replace(config, number=1))
    np.testing.assert_allclose(many[0].astype(int), alone[0].astype(int), atol=1)
    assert np.abs(many[0].astype(int) - many[1].astype(int)).max() > 10
    other = made(text, replace(config, number=1, seed=1))
    assert np.abs(other[0].astype(int) - alone[0].astype(int)).max() > 10


def test_best_of_keeps_the_one_that_agrees_most(config: GenerateConfig) -> None:
    text = next(iter(PLACES))
    choosing = replace(config, number=2, best_of=3)
    samples = list(generate(understood(text, choosing), [], choosing))
    assert [sample.index for sample in samples] == [0, 1]
    for sample in samples:
        assert len(sample.candidates) == 3
        assert sample.agreement in sample.candidates
        assert cosine_of(sample.agreement) == max(map(cosine_of, sample.candidates))
    # The first candidate is what would have been made without a choice.
    first = next(iter(generate(understood(text, config), [], config)))
    same = map(cosine_of, (samples[0].candidates[0], first.agreement))
    assert math.isclose(*same, abs_tol=1e-3)


def cosine_of(agreement: Agreement | None) -> float:
    """These encoders read by convolutions alone, and no finder answers."""
    assert agreement
    assert agreement.likelihood is None
    return agreement.cosine


def test_an_image_alone_says_where_by_the_shared_space(config: GenerateConfig) -> None:
    """The flow never listened to radiographs; it hears where they lie among all."""
    right = 0
    told = replace(config, sources=("x",))
    for row, column in PLACES.values():
        grey = np.full((64, 64), 40, np.uint16)
        grey[8 * row : 8 * row + 16, 8 * column : 8 * column + 16] = 250
        source = MedicalImage(grey, flat_detector(), Kind(Modality.XRAY), spacing_is_known=False)
        for sample in generate(understood("", told), [source], told):
            right += int(quarters(sample.image).argmax()) == 2 * (row > 3) + (column > 3)
    assert right >= 7  # of 12; chance is 3


def test_weight_0_is_not_being_told(config: GenerateConfig) -> None:
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    source = MedicalImage(grey, flat_detector(), Kind(Modality.XRAY), spacing_is_known=False)
    text = next(iter(PLACES))
    silent = replace(config, number=1, sources=("x",), weights=(0.0,))
    (one,) = generate(understood(text, silent), [source], silent)
    np.testing.assert_allclose(one.image.voxels, made(text, replace(config, number=1))[0], atol=1)


def test_what_is_lost_of_a_prompt(config: GenerateConfig) -> None:
    text = "Mass, zygomatic. Pneumothorax."
    prompt = understood(text, config)
    assert "zygomatic" in prompt.unseen
    assert "pneumothorax" in prompt.ignored
    with pytest.raises(UsageError, match="words never read"):
        understood(text, replace(config, strict=True))
    long = understood("mass in the left upper lobe " * 30, config)
    assert long.cut.endswith("lobe")
    assert f"does not fit: '{long.cut}'" in long.lost


def test_what_is_cut_is_not_understood(config: GenerateConfig) -> None:
    prompt = understood("Mass in the left upper lobe. " * 12 + "Pneumothorax.", config)
    assert "pneumothorax" not in prompt.named
    assert "pneumothorax" in prompt.cut.lower()


def test_refusals(config: GenerateConfig, corner_flows: SimpleNamespace) -> None:
    with pytest.raises(UsageError, match="the prompt is empty"):
        understood("  ", config)
    with pytest.raises(ModelError, match=r"cannot make ct; it makes xray"):
        understood("Mass.", replace(config, modality="ct"))
    with pytest.raises(ModelError, match="model without flows"):
        understood("Mass.", replace(config, model=str(corner_flows.codecs)))
    unnamed = MedicalImage(np.arange(16.0).reshape(4, 4), flat_detector(), None)
    with pytest.raises(InputError, match="does not say what it is"):
        list(generate(understood("Mass.", config), [unnamed], config))
    head = MedicalImage(np.arange(64.0).reshape(4, 4, 4), Geometry(np.eye(4)), Kind(Modality.CT))
    with pytest.raises(ModelError, match="no encoder of ct, only of text, xray"):
        list(generate(understood("Mass.", config), [head], config))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modality": "text"}, "medgen report"),
        ({"sampler": "magic"}, "is not one of dpm, euler"),
        ({"format": "tiff"}, "png or dicom"),
        ({"sources": ("a",), "weights": (1.0, 2.0)}, "2 weights for 1 images"),
        ({"sources": ("a",), "weights": (-1.0,)}, "0 or more"),
        ({"number": 0}, "number is 0"),
        ({"shift": 0.0}, "shift is 0; choose a number above 0"),
        ({"finish": 1.0}, "finish is 1; choose a time from 0 to below 1"),
        ({"guidance": -1.0}, "guidance is 0 or more"),
        ({"interval": (0.6, 0.4)}, "interval is two times from 0, clean, to 1, noise"),
        ({"interval": (0.0, 1.1)}, "interval is two times"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GenerateConfig(**settings)  # type: ignore[arg-type]


def test_outside_its_interval_guidance_does_not_push(config: GenerateConfig) -> None:
    few = replace(config, number=1, steps=4)
    (plain,), (pushed,) = made("Mass.", replace(few, guidance=1.0)), made("Mass.", few)
    (never,) = made("Mass.", replace(few, interval=(0.0, 0.0)))  # no step begins there
    (late,) = made("Mass.", replace(few, interval=(0.0, 0.95)))
    np.testing.assert_array_equal(never, plain)
    assert not np.array_equal(late, plain)
    assert not np.array_equal(late, pushed)


@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        ({"steps": 4, "shift": 1.0, "finish": 0.0}, [1.0, 0.75, 0.5, 0.25, 0.0]),
        ({"steps": 4, "shift": 3.0, "finish": 0.0}, [1.0, 0.9, 0.75, 0.5, 0.0]),
        ({"steps": 4, "shift": 2.0, "finish": 0.05}, [1.0, 0.8, 0.5, 0.05, 0.0]),
        ({"steps": 1}, [1.0, 0.0]),
    ],
)
def test_steps_lie_near_the_noise_and_the_last_begins_near_the_end(
    config: GenerateConfig,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    stops: list[float],
) -> None:
    walked: list[torch.Tensor] = []

    def sample(*given: Any, generators: Sequence[torch.Generator]) -> Iterator[Step]:
        walked.append(given[-1])
        return sample_euler(*given, generators=generators)

    monkeypatch.setitem(SAMPLERS, "dpm", sample)
    made("Mass.", replace(config, number=1, **settings))
    assert [at.tolist() for at in walked] == [pytest.approx(stops)]


def test_nan_is_told_and_nothing_is_made(
    config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = load_generator(config).codecs[Modality.XRAY].codec
    monkeypatch.setattr(codec, "decode", lambda latent: torch.full((1, 1, 32, 32), math.nan))
    with pytest.raises(MedgenError, match="answered with NaN"):
        made("Mass.", config)


def test_too_little_memory_names_what_helps(
    config: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(latent: torch.Tensor) -> torch.Tensor:
        return torch.empty(2**62, dtype=torch.uint8)

    monkeypatch.setattr(load_generator(config).codecs[Modality.XRAY].codec, "decode", decode)
    with pytest.raises(MedgenError, match="out of memory; --set together=1"):
        made("Mass.", config)
