"""The denoiser of sequences hears its cells, the time and the context."""

import torch

from medgen.diffusion.sequence import SequenceConfig, SequenceDenoiser, sinusoids

CONFIG = SequenceConfig(channels=3, length=5, width=16, layers=2, heads=2, context_width=6)


def network() -> SequenceDenoiser:
    torch.manual_seed(0)
    made = SequenceDenoiser(CONFIG).eval()
    torch.nn.init.normal_(made.head.weight)
    return made


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 3, 5, generator=generator),
        torch.tensor([0.2, 0.7]),
        torch.randn(2, 4, 6, generator=generator),
    )


def test_untrained_predicts_zero() -> None:
    assert not SequenceDenoiser(CONFIG)(*inputs()).any()


def test_every_input_is_heard_and_items_are_apart() -> None:
    denoiser = network()
    latent, time, context = inputs()
    whole = denoiser(latent, time, context)
    assert whole.shape == latent.shape
    changes = (
        (latent.index_fill(0, torch.tensor([1]), 2.0), time, context),
        (latent, torch.tensor([0.2, 0.9]), context),
        (latent, time, context.index_fill(0, torch.tensor([1]), 2.0)),
    )
    for changed in changes:
        other = denoiser(*changed)
        torch.testing.assert_close(other[0], whole[0])
        assert (other[1] - whole[1]).abs().max() > 1e-3


def test_order_of_cells_matters() -> None:
    denoiser = network()
    latent, time, context = inputs()
    flipped = denoiser(latent.flip(2), time, context).flip(2)
    assert (flipped - denoiser(latent, time, context)).abs().max() > 1e-3


def test_sinusoids_tell_times_apart() -> None:
    rows = sinusoids(torch.linspace(0, 1, 1001), 32)
    distance = (rows[1:] - rows[:-1]).norm(dim=1)
    assert distance.min() > 0.05
    torch.testing.assert_close(rows.norm(dim=1), torch.full((1001,), 4.0))
