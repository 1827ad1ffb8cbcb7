"""The KL codec: grids, the scale of its latents, and what it refuses."""

import pytest
import torch

from medgen.errors import UsageError
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


def test_from_there_it_learns_and_never_unlearns() -> None:
    """Steps of the usual size take a network that starts as the best linear codec below it."""
    torch.manual_seed(0)
    config = KLCodecConfig(2, 2, (16, 16), norm_groups=4, offset=-1.0, principal=True)
    made = KLCodec(config)
    near, far = torch.rand(2, 64, 1, 1, 1).mul(12).round()
    shade = torch.rand(64, 1, 1, 1)
    along = torch.arange(16.0)
    images = torch.where((along >= near) & (along[:, None] >= far), shade, torch.tensor(-1.0))
    made.fit_linear([images])

    def error() -> torch.Tensor:
        return (made.rebuild(made.posterior(images).mean) - images).abs().mean()

    linear = float(error().detach())
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-3)
    errors = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = error()
        loss.backward()
        optimizer.step()
        errors.append(float(loss.detach()) / linear)
    assert max(errors) < 1.01
    assert errors[-1] < 0.85


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_whitening_says_how_much_stronger_strong_components_stay(whitening: float) -> None:
    torch.manual_seed(0)
    config = KLCodecConfig(2, 4, (8, 8), norm_groups=4, principal=True, whitening=whitening)
    made = KLCodec(config).eval()
    images = torch.randn(64, 1, 16, 16).cumsum(2).cumsum(3) / 16
    made.fit_linear([images])
    linear = made.linear
    assert linear is not None
    raw = linear.encode(made.haar.encode(images)) * linear.strength.view(1, -1, 1, 1)
    made.calibrate([images])
    latents = made.encode(images).transpose(0, 1).flatten(1)
    natural = raw.transpose(0, 1).flatten(1).std(1)
    assert float(natural[0]) > 3 * float(natural[-1])
    expected = natural ** (1 - whitening)
    torch.testing.assert_close(latents.std(1), expected / expected.square().mean().sqrt())
    torch.testing.assert_close(made.decode(made.encode(images)), rebuilt(made, images))


def test_without_a_network_to_encode_the_latent_is_linear() -> None:
    torch.manual_seed(0)
    made = KLCodec(KLCodecConfig(3, 4, (8, 8), norm_groups=4, principal=True, encodes=False)).eval()
    image, other = torch.randn(2, 2, 1, 8, 8, 8)
    made.fit_linear([image, other])
    assert not any("encoder" in name or "quant_conv_mu" in name for name in made.state_dict())
    both = made.encode(2 * image - 3 * other)
    torch.testing.assert_close(both, 2 * made.encode(image) - 3 * made.encode(other))
    assert made.decode(both).shape == image.shape


def rebuilt(made: KLCodec, images: torch.Tensor) -> torch.Tensor:
    return made.rebuild(made.posterior(images).mean)


def test_only_components_can_be_whitened_less() -> None:
    with pytest.raises(UsageError, match="whitening"):
        KLCodecConfig(whitening=0.5)
    with pytest.raises(UsageError, match="0 to 1"):
        KLCodecConfig(principal=True, whitening=1.5)
