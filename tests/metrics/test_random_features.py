"""Random convolutions rank how far images are from others."""

import torch

from medgen.metrics.distribution import frechet_distance
from medgen.metrics.random_features import random_features


def squares(seed: int, blur: int = 1) -> torch.Tensor:
    noise = torch.randn(40, 1, 64, 64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, blur, 1, blur // 2)[:, :, :64, :64]


def test_more_blur_is_farther() -> None:
    real = random_features(squares(0)).numpy()
    floor, near, far = (
        frechet_distance(real, random_features(squares(1, blur)).numpy()) for blur in (1, 3, 5)
    )
    assert 3 * floor < near < far


def test_always_the_same_features_and_each_image_alone() -> None:
    images = squares(0)
    whole = random_features(images)
    assert whole.shape == (40, 160)
    torch.manual_seed(5)
    torch.testing.assert_close(random_features(images[3:5]), whole[3:5])
