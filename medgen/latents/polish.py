"""Polish: what a linear codec blurs and cuts into blocks, seen and mended where it lies."""

from jaxtyping import Float
from torch import Tensor, nn


class Polish(nn.Module):
    """Residual blocks of convolutions without normalisation, which would lose absolute values.

    Untrained, it answers 0.

    Args:
        axes: Of the grid.
        channels: Of what it mends.
        width: Channels inside.
        blocks: How many.
    """

    def __init__(self, axes: int, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(axes, channels, width),
            *(_Block(axes, width) for _ in range(blocks)),
            nn.SiLU(),
            silenced(_conv(axes, width, channels)),
        )

    def forward(
        self, bands: Float[Tensor, "batch channels *grid"]
    ) -> Float[Tensor, "batch channels *grid"]:
        """What is to be added, of mean square about 1."""
        mended: Tensor = self.layers(bands)
        return mended


class _Block(nn.Module):
    def __init__(self, axes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(),
            _conv(axes, width, width),
            nn.SiLU(),
            silenced(_conv(axes, width, width)),
        )

    def forward(
        self, hidden: Float[Tensor, "batch width *grid"]
    ) -> Float[Tensor, "batch width *grid"]:
        changed: Tensor = hidden + self.layers(hidden)
        return changed


def _conv(axes: int, inside: int, outside: int) -> nn.Module:
    kind = nn.Conv2d if axes == 2 else nn.Conv3d
    return kind(inside, outside, 3, padding=1)


def silenced(module: nn.Module) -> nn.Module:
    """The module with weights of 0: until it has learned something, it says nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
