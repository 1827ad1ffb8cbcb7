"""Polish: nothing at first, and what neighbours tell when it has learned."""

import pytest
import torch

from medgen.errors import UsageError
from medgen.latents.kl import KLCodec, KLCodecConfig
from medgen.latents.polish import Polish


@pytest.mark.parametrize("axes", [2, 3])
def test_untrained_it_adds_nothing(axes: int) -> None:
    bands = torch.randn(2, 4, *[6] * axes)
    assert torch.equal(Polish(axes, 4, 8, blocks=2)(bands), torch.zeros_like(bands))


def test_it_mends_what_blocks_of_few_components_lose() -> None:
    """A slope is steps to a codec that knows one number a block; neighbours know better."""
    torch.manual_seed(0)
    slope = torch.rand(8, 1, 1, 1) * 2 - 1
    images = slope * torch.linspace(-1, 1, 32).expand(8, 1, 32, 32)
    config = KLCodecConfig(2, 1, (16, 16), norm_groups=4, principal=True, residual=0.1, polish=1)
    codec = KLCodec(config)
    codec.fit_linear([images])

    def error() -> torch.Tensor:
        return (codec.decode(codec.encode(images)) - images)[..., 4:-4].abs().mean()

    before = error().item()
    assert codec.polish is not None
    optimizer = torch.optim.Adam(codec.polish.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        loss = error()
        loss.backward()
        optimizer.step()
    assert error().item() < 0.5 * before


def test_only_a_codec_of_components_is_polished() -> None:
    with pytest.raises(UsageError, match="principal components"):
        KLCodecConfig(polish=1)
    with pytest.raises(UsageError, match="0 blocks or more"):
        KLCodecConfig(principal=True, polish=-1)
