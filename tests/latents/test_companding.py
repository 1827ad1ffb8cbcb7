"""Companding: a bend that is undone exactly, and a codec that sees through it."""

from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgen.errors import UsageError
from medgen.latents.companding import Companding
from medgen.latents.kl import KLCodec, KLCodecConfig


@settings(deadline=None)
@given(
    st.floats(-1, 0.5),
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.1, 20)), min_size=1, max_size=3),
)
def test_expanding_undoes_compressing(low: float, parts: list[tuple[float, float]]) -> None:
    widths, slopes = zip(*parts, strict=True)
    bend = Companding(tuple(accumulate(widths, initial=low)), slopes)
    image = torch.linspace(-2, 2, 401, dtype=torch.float64).view(1, 1, -1)
    seen = bend.compress(image)
    assert bool((seen.diff() > 0).all())
    torch.testing.assert_close(bend.expand(seen), image, atol=1e-12, rtol=0)


def test_it_is_as_steep_as_it_says_between_two_values() -> None:
    image = torch.linspace(-1, 1, 201, dtype=torch.float64).view(1, 1, -1).requires_grad_()
    Companding((-0.305, 0.105, 0.505), (5.0, 0.5)).compress(image).sum().backward()
    steep = (image >= -0.305) & (image <= 0.105)
    flat = (image > 0.105) & (image <= 0.505)
    assert image.grad is not None
    expected = torch.where(steep, 5.0, torch.where(flat, 0.5, 1.0))
    torch.testing.assert_close(image.grad, expected.to(image))


def test_without_bends_images_stay_as_they_are() -> None:
    image = torch.randn(1, 1, 8)
    assert Companding().compress(image) is image
    assert Companding().expand(image) is image


@pytest.mark.parametrize(
    ("at", "slopes", "says"),
    [
        ((0.0, 0.0), (2.0,), "rise"),
        ((0.0, 1.0, 0.5), (2.0, 3.0), "rise"),
        ((0.0, 1.0), (0.0,), "above 0"),
        ((0.0, 1.0), (2.0, 3.0), "2 bends"),
        ((0.0,), (), "1 bends"),
        ((), (2.0,), "0 bends"),
    ],
)
def test_curves_that_cannot_be_inverted_are_refused(
    at: tuple[float, ...], slopes: tuple[float, ...], says: str
) -> None:
    with pytest.raises(UsageError, match=f"companding: .*{says}"):
        Companding(at, slopes)


def test_a_codec_keeps_small_differences_where_it_sees_them_larger() -> None:
    """Of a faint and a loud pattern that share one component, the magnified one survives."""
    torch.manual_seed(0)
    faint = 0.05 * torch.randn(64, 1, 1, 1).sign() * torch.tensor([1.0, -1.0]).repeat(4)
    loud = 0.1 * torch.randn(64, 1, 1, 1).sign() * torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(2)
    soft, bone = faint.expand(64, 1, 8, 8), 0.8 + loud.expand(64, 1, 8, 8)
    images = torch.cat([soft, bone])

    @torch.no_grad()
    def error(bend: Companding) -> float:
        config = KLCodecConfig(2, 2, (8, 8), norm_groups=4, principal=True, companding=bend)
        made = KLCodec(config).eval()
        made.fit_linear([images])
        return float((made.decode(made.encode(soft)) - soft).abs().mean())

    assert error(Companding()) > 0.04
    assert error(Companding((-0.2, 0.2), (4.0,))) < 0.01
