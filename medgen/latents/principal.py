"""The best linear codec: principal components of small blocks, known before anything is learned."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medgen.shapes import Latent


class PrincipalComponents(nn.Module):
    """Blocks of a grid to their strongest components, and back; no better linear map exists.

    An autoencoder that starts from it has only to learn what is not linear, and keeps absolute
    values that its normalisation would lose. Components have mean square 1 over the images they
    were found in, the faint as the strong: a network hears all of them.

    Args:
        axes: Of the grid.
        inside: Channels of the grid.
        side: Cells of every axis that a block spans.
        kept: Components that are kept.

    Source: Eckart & Young 1936 (doi:10.1007/BF02288367).
    """

    def __init__(self, axes: int, inside: int, side: int, kept: int) -> None:
        super().__init__()
        self.axes, self.side = axes, side
        block = inside * side**axes
        self.basis: Tensor
        self.register_buffer("basis", torch.eye(kept, block))
        self.strength: Tensor  # root mean square of each component
        self.register_buffer("strength", torch.ones(kept))
        self.loudness: Tensor  # of each channel of the grid
        self.register_buffer("loudness", torch.ones(inside))

    def encode(self, grid: Float[Tensor, "batch inside *fine"]) -> Latent:
        """The components of each block, single precision; every size divides by `side`."""
        # Autocast would round to bfloat16, 8 HU.
        with torch.autocast(grid.device.type, enabled=False):
            weights = self.basis / self.strength[:, None]
            return torch.einsum("kc,bc...->bk...", weights, self._blocks(grid))

    def decode(self, latent: Latent) -> Float[Tensor, "batch inside *fine"]:
        """The blocks of which these are the components, and the others 0."""
        with torch.autocast(latent.device.type, enabled=False):
            weights = self.basis * self.strength[:, None]
            blocks = torch.einsum("kc,bk...->bc...", weights, latent.float())
        for _ in range(self.axes):  # the last axis first: each takes what is outermost of channels
            blocks = blocks.unflatten(1, (self.side, -1)).movedim(1, -1)
            blocks = blocks.flatten(-2).movedim(-1, 2)
        return blocks

    def even(
        self, grid: Float[Tensor, "batch inside *fine"]
    ) -> Float[Tensor, "batch inside *fine"]:
        """The grid with every channel as loud as the others, as a network wants it."""
        return grid / self.loudness.view(-1, *[1] * self.axes)

    @torch.no_grad()
    def fit(self, grids: Iterable[Float[Tensor, "batch inside *fine"]]) -> None:
        """Find the basis: the components about 0, not about the mean.

        Raises:
            ValueError: If there is no grid.
        """
        scatter = torch.zeros(self.basis.shape[1], self.basis.shape[1], dtype=torch.float64)
        count = 0
        for grid in grids:
            blocks = self._blocks(grid).transpose(0, 1).flatten(1)
            scatter += (blocks @ blocks.T).double().cpu()
            count += blocks.shape[1]
        if not scatter.any():
            raise ValueError("no image to find components in")
        power, vectors = torch.linalg.eigh(scatter / count)
        strongest = vectors.flip(1).T[: len(self.basis)]
        signs = strongest.sum(1, keepdim=True).sign()  # an eigenvector's own is not determined
        self.basis.copy_(strongest * torch.where(signs == 0, 1, signs))
        self.strength.copy_(_loud(power.flip(0)[: len(self.basis)]))
        of_channels = (scatter.diagonal() / count).unflatten(0, (-1, len(self.loudness)))
        self.loudness.copy_(_loud(of_channels.mean(0)))

    def _blocks(self, grid: Float[Tensor, "batch inside *fine"]) -> Latent:
        blocks = grid.float()
        for _ in range(self.axes):
            blocks = blocks.movedim(2, -1).unflatten(-1, (-1, self.side))
            blocks = blocks.movedim(-1, 1).flatten(1, 2)
        return blocks


def _loud(power: Tensor) -> Tensor:
    """Root mean squares; what is silent counts as very faint."""
    root = power.clamp(min=0).sqrt()
    return root.clamp(min=1e-6 * float(root.max()))
