"""Stops fall from noise to clean, spaced as each paper spaces them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medgen.diffusion.process import PROCESSES, RectifiedFlow
from medgen.diffusion.schedule import (
    finishing,
    karras_stops,
    leading_stops,
    shifted,
    time_of,
    trailing_stops,
    uniform_stops,
)


@given(steps=st.integers(1, 1000))
def test_every_schedule_falls_to_zero(steps):
    for stops in (uniform_stops(steps), trailing_stops(steps), leading_stops(steps)):
        assert len(stops) == steps + 1
        assert (stops.diff() < 0).all()
        assert stops[-1] == 0


def test_trailing_starts_at_noise_and_leading_does_not():
    assert trailing_stops(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert leading_stops(4).tolist() == [0.751, 0.501, 0.251, 0.001, 0.0]
    assert leading_stops(4, offset=1).tolist() == [0.752, 0.502, 0.252, 0.002, 0.0]


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_steps_are_refused(steps):
    for make in (trailing_stops, leading_stops):
        with pytest.raises(ValueError, match="1 to 1000"):
            make(steps)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("time", [0.0015, 0.3, 0.999])
def test_time_of_inverts_the_process(name, time):
    process = PROCESSES[name]()
    mix = process.at(torch.tensor(time, dtype=torch.float64))
    assert time_of(process, float(mix.sigma / mix.alpha)) == pytest.approx(time, abs=1e-9)


def test_karras_stops_are_evenly_bent():
    stops = karras_stops(RectifiedFlow(), 10, noisiest=80.0, cleanest=0.002)
    mix = RectifiedFlow().at(stops[:-1])
    ratios = mix.sigma / mix.alpha
    assert ratios[[0, -1]].tolist() == pytest.approx([80, 0.002])
    gaps = (ratios ** (1 / 7)).diff()
    torch.testing.assert_close(gaps, gaps[:1].expand(9), rtol=1e-4, atol=0)


def test_karras_stops_begin_where_the_process_ends():
    assert float(karras_stops(PROCESSES["latent-diffusion"](), 5)[0]) == pytest.approx(1)


@given(ratio=st.floats(0.2, 5))
def test_a_shift_keeps_the_ends_and_is_undone_by_its_inverse(ratio):
    stops = uniform_stops(7)
    moved = shifted(stops, ratio)
    assert moved[[0, -1]].tolist() == [1, 0]
    torch.testing.assert_close(shifted(moved, 1 / ratio), stops)


@given(steps=st.integers(1, 200), ratio=st.floats(0.2, 9), time=st.floats(1e-3, 0.99))
def test_a_finish_adds_one_stop_before_the_end(steps, ratio, time):
    stops = shifted(uniform_stops(steps), ratio)
    finished = finishing(stops, time)
    assert (finished.diff() < 0).all()
    assert finished[:-2].tolist() == stops[:-1].tolist()
    assert finished[-1] == 0
    assert 0 < finished[-2] <= time
    assert finishing(stops, 0.0) is stops


def test_a_ratio_shifts_towards_noise():
    assert float(shifted(torch.tensor([0.5]), 2.0)) == pytest.approx(2 / 3)
