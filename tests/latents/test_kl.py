"""The KL codec: grids, the scale of its latents, and what it refuses."""

import pytest
import torch

from medgen.latents.kl import KLCodec, KLCodecConfig


def codec(axes: int = 2, widths: tuple[int, ...] = (16, 16)) -> KLCodec:
    torch.manual_seed(0)
    return KLCodec(KLCodecConfig(axes, 4, widths, norm_groups=4)).eval()


@pytest.mark.parametrize(("axes", "widths"), [(2, (16, 16, 16)), (3, (16, 16))])
def test_grids(axes: int, widths: tuple[int, ...]) -> None:
    made = codec(axes, widths)
    image = torch.randn(2, 1, *[16] * axes)
    assert made.stride == 2 ** len(widths)
    latent = made.encode(image)
    assert latent.shape == (2, 4, *[16 // made.stride] * axes)
    assert made.decode(latent).shape == image.shape


def test_calibrated_latents_have_mean_0_and_deviation_1() -> None:
    made = codec()
    images = [torch.randn(2, 1, 32, 32) for _ in range(4)]
    before = torch.cat([made.encode(image) for image in images]).detach()
    made.calibrate(images)
    latents = torch.cat([made.encode(image) for image in images]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(latents.mean(1), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(1), torch.ones(4), atol=1e-4, rtol=0)
    assert (before.std() - 1).abs() > 0.01


def test_calibration_does_not_change_what_is_rebuilt() -> None:
    made = codec()
    image = torch.randn(2, 1, 32, 32)
    before = made.decode(made.encode(image))
    made.calibrate([image])
    torch.testing.assert_close(made.decode(made.encode(image)), before, atol=1e-5, rtol=1e-4)


def test_refusals() -> None:
    made = codec()
    with pytest.raises(ValueError, match="4"):
        made.encode(torch.zeros(1, 1, 30, 32))
    with pytest.raises(ValueError, match="no image"):
        made.calibrate([])


@pytest.mark.parametrize("axes", [2, 3])
def test_untrained_it_is_the_best_linear_codec(axes: int) -> None:
    kept = 4 ** (axes - 1)  # of 16 in a block, or of 64
    config = KLCodecConfig(axes, kept, (8, 8), norm_groups=4, offset=-1.0, principal=True)
    made = KLCodec(config).eval()
    images = [torch.randn(1, 1, *[8] * axes).cumsum(2) / 8 for _ in range(3)]
    made.fit_linear(images)
    linear = made.linear
    assert linear is not None
    for image in images:
        bands = made.haar.encode(image)
        rebuilt = made.haar.decode(linear.decode(linear.encode(bands)))
        torch.testing.assert_close(made.decode(made.encode(image)), rebuilt, atol=1e-5, rtol=0)
        assert float((rebuilt - image).abs().mean()) < 0.5 * float(image.abs().mean())
