"""The scale starts at 1 / 0.07, stays between 1 and 100, and can come back from either end."""

import math

import pytest
import torch

from medgen.align.temperature import Temperature


def at(log_scale: float) -> Temperature:
    temperature = Temperature()
    with torch.no_grad():
        temperature.log_scale.fill_(log_scale)
    return temperature


def test_it_starts_as_clip_does() -> None:
    assert Temperature()().item() == pytest.approx(1 / 0.07)


@pytest.mark.parametrize(("log_scale", "scale"), [(-3, 1), (0, 1), (2, math.e**2), (9, 100)])
def test_it_is_between_1_and_100(log_scale: float, scale: float) -> None:
    assert at(log_scale)().item() == pytest.approx(scale)


@pytest.mark.parametrize(
    ("log_scale", "sign", "moves"),
    [(9, 1, True), (9, -1, False), (-1, -1, True), (-1, 1, False), (2, 1, True), (2, -1, True)],
)
def test_its_gradient_leads_in_and_never_out(log_scale: float, sign: int, moves: bool) -> None:
    temperature = at(log_scale)
    (sign * temperature()).backward()
    gradient = temperature.log_scale.grad
    assert gradient is not None
    expected = sign * min(max(math.exp(log_scale), 1), 100) if moves else 0
    assert float(gradient) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_whoever_pushes_it_stays_at_the_bound(sign: int) -> None:
    temperature = Temperature()
    optimizer = torch.optim.SGD(temperature.parameters(), 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (sign * temperature().log()).backward()
        optimizer.step()
    assert temperature().item() == pytest.approx(1 if sign > 0 else 100)
    assert -0.2 < temperature.log_scale.item() < math.log(100) + 0.2
