"""Signals are what the textbook's equations give, at hand-computed points and at their limits."""

import math

import pytest
import torch
from torch import Generator

from medgen.modality import Contrast
from medgen.phantom.protocol import (
    TYPICAL,
    Protocol,
    Readout,
    Relaxation,
    gradient_echo,
    inversion_recovery,
    mprage,
    random_protocol,
    spin_echo,
)
from medgen.phantom.tissue import Tissue

TEXTBOOK = Relaxation.textbook()
WHITE, GREY, CSF = Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF


def one(density: float, t1: float, t2: float, t2_star: float) -> Relaxation:
    return Relaxation(*(torch.tensor([float(value)]) for value in (density, t1, t2, t2_star)))


def test_spin_echo_by_hand() -> None:
    """TR = T1 ln 2 recovers half; TE = T2 ln 4 leaves a quarter of it."""
    tissue = one(0.8, 1000, 100, 50)
    assert spin_echo(tissue, 1000 * math.log(2), 100 * math.log(4)).item() == pytest.approx(0.1)


def test_inversion_recovery_by_hand() -> None:
    """TI = T1 ln 4 has recovered to half of the way: 1 - 2/4."""
    tissue = one(1, 1000, 100, 50)
    assert inversion_recovery(tissue, 1e9, 0, 1000 * math.log(4)).item() == pytest.approx(0.5)


def test_gradient_echo_by_hand() -> None:
    """At 90 degrees it is saturation recovery."""
    tissue = one(1, 1000, 100, 50)
    signal = gradient_echo(tissue, 1000 * math.log(2), 50 * math.log(2), 90)
    assert signal.item() == pytest.approx(0.25)


def test_mprage_by_hand() -> None:
    """With TR far above T1 it is an inversion recovery seen through the flip angle."""
    tissue = one(1, 1000, 100, 50)
    signal = mprage(tissue, 1e9, 0, 1000 * math.log(4), 30)
    assert signal.item() == pytest.approx(0.5 * 0.5)


def test_long_repetition_and_short_echo_show_density_alone() -> None:
    assert torch.allclose(spin_echo(TEXTBOOK, 1e9, 0), TEXTBOOK.density)


def test_fluid_is_nulled_at_ln_2_of_its_t1() -> None:
    time = math.log(2) * TEXTBOOK.t1[CSF].item()
    signal = inversion_recovery(TEXTBOOK, 1e9, 0, time)
    assert signal[CSF] < 1e-6
    assert signal[WHITE] > 0.3


@pytest.mark.parametrize("repetition", [10.0, 50.0, 300.0])
def test_the_ernst_angle_gives_the_most_signal(repetition: float) -> None:
    """Source: Ernst & Anderson 1966: cos α = exp(-TR/T1)."""
    tissue = one(1, 1000, 100, 50)
    ernst = math.degrees(math.acos(math.exp(-repetition / 1000)))
    best = gradient_echo(tissue, repetition, 0, ernst).item()
    for other in (ernst - 1, ernst + 1):
        assert gradient_echo(tissue, repetition, 0, other).item() < best


def test_weightings_order_the_brain_as_radiologists_know_them() -> None:
    t1, t2, flair, pd = (TYPICAL[each].signal(TEXTBOOK) for each in Contrast)
    assert t1[WHITE] > t1[GREY] > t1[CSF]
    assert t2[WHITE] < t2[GREY] < t2[CSF]
    assert flair[CSF] < 0.25 * flair[GREY]
    assert pd[WHITE] < pd[GREY]


@pytest.mark.parametrize("seed", range(20))
def test_random_protocols_keep_their_weighting(seed: int) -> None:
    generator = Generator().manual_seed(seed)
    t1 = random_protocol(Contrast.T1, generator).signal(TEXTBOOK)  # an early TI may null grey
    t2 = random_protocol(Contrast.T2, generator).signal(TEXTBOOK)
    flair = random_protocol(Contrast.FLAIR, generator).signal(TEXTBOOK)
    assert t1[WHITE] > max(t1[GREY], t1[CSF])
    assert t2[WHITE] < t2[GREY] < t2[CSF]
    assert flair[CSF] < flair[GREY]


def test_air_is_silent_whatever_the_protocol() -> None:
    for readout in Readout:
        assert Protocol(readout, 500, 10, 400, 30).signal(TEXTBOOK)[Tissue.AIR] == 0


def test_patients_vary_about_the_textbook() -> None:
    many = [TEXTBOOK.varied(Generator().manual_seed(seed)).t1[WHITE] for seed in range(400)]
    logs = torch.stack(many).log()
    assert logs.mean().item() == pytest.approx(TEXTBOOK.t1[WHITE].log().item(), abs=0.02)
    assert logs.std().item() == pytest.approx(0.1, rel=0.15)


def test_marrow_ranks_between_muscle_and_fat_on_t1_and_yellow_marrow_shines_like_fat() -> None:
    """In the 16 training patients who show spongy bone its ratio to fat was .32 to 1.1."""
    t1 = Protocol(Readout.SPIN_ECHO, 550, 12)
    for bone in (Tissue.MARROW, Tissue.SPONGY_BONE):
        red, yellow = (
            (signal[bone] / signal[Tissue.FAT]).item()
            for signal in (t1.signal(TEXTBOOK), t1.signal(TEXTBOOK.with_yellow_marrow()))
        )
        assert red < 0.7
        assert yellow == pytest.approx(1)
    assert t1.signal(TEXTBOOK)[Tissue.MUSCLE] < t1.signal(TEXTBOOK)[Tissue.SPONGY_BONE]
    others = [tissue for tissue in Tissue if tissue not in (Tissue.MARROW, Tissue.SPONGY_BONE)]
    assert torch.equal(
        t1.signal(TEXTBOOK.with_yellow_marrow())[others], t1.signal(TEXTBOOK)[others]
    )
