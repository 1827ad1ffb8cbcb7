"""What random convolutions see, and what they are blind to."""

import pytest
import torch

from medgen.latents.perceptual import RandomFeatures


@pytest.mark.parametrize("axes", [2, 3])
def test_brightness_is_not_seen_and_texture_is(axes: int) -> None:
    seen = RandomFeatures(axes)
    image = torch.randn((1, 1, *[24] * axes), generator=torch.Generator().manual_seed(0))
    assert float(seen(image, image)) == 0
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1) if axes == 2 else image.roll(1, 2)
    assert float(seen(blurred, image)) > 0.1
    # Only the rim, where zeros are put around the image, tells a brighter image.
    brighter = seen(image + 0.5, image)
    assert float(brighter) < 0.5 * float(seen(blurred, image))


def test_always_the_same_and_never_trained() -> None:
    torch.manual_seed(1)
    one = RandomFeatures(2)
    torch.manual_seed(2)
    other = RandomFeatures(2)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert not any(each.requires_grad for each in one.parameters())


def test_gradient_reaches_the_image() -> None:
    image = torch.zeros(1, 1, 16, 16, requires_grad=True)
    RandomFeatures(2)(image, torch.rand(1, 1, 16, 16)).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
