"""Fix the norms of a trained network: what they measure in each image is measured once, for all.

An instance norm divides by what it finds in the image before it, so a patch full of air and the
same patch in a whole head are answered differently. Here the mean and variance that each norm meets
are measured over many images and become a scale and a shift. The network then needs some training
to get used to it; after that its answers depend on what is shown, not on how much is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from medgen.diffusion.modulated_unet import ModulatedUNet

INSTANCE_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d)


@torch.no_grad()
def with_fixed_norms(network: ModulatedUNet, show: Callable[[], object]) -> ModulatedUNet:
    """The same network with `affine` norms that say what its instance norms say on average.

    Args:
        network: With instance norms; left as it is.
        show: Passes images through the network, as various as those it will meet. Shown a single
            one, the new network answers that image as the old one does.
    """
    norms = {
        name: norm for name, norm in network.named_modules() if isinstance(norm, INSTANCE_NORMS)
    }
    met = {name: _Met(norm.eps) for name, norm in norms.items()}
    hooks = [norm.register_forward_hook(met[name]) for name, norm in norms.items()]
    try:
        show()
    finally:
        for hook in hooks:
            hook.remove()
    state = dict(network.state_dict())
    for name, one in met.items():
        one.fix(state, name)
    still = ModulatedUNet(replace(network.config, norm="affine"))
    still.load_state_dict(state)
    return still.train(network.training)


@dataclass
class _Met:
    """What a norm meets: sums over the images that pass by, each of which counts alike."""

    eps: float  # of the norm
    images: int = 0
    means: Tensor | float = 0.0  # of each channel
    squares: Tensor | float = 0.0

    def __call__(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        """Hook of the norm: what comes before it."""
        (features,) = inputs
        space = tuple(range(2, features.ndim))
        self.images += len(features)
        self.means = self.means + features.mean(space).sum(0)
        self.squares = self.squares + features.square().mean(space).sum(0)

    def fix(self, state: dict[str, Tensor], name: str) -> None:
        """The norm's scale and shift with what it met, in the state dict of the network."""
        mean = torch.as_tensor(self.means / self.images)
        variance = torch.as_tensor(self.squares / self.images) - mean.square()
        scale, shift = f"{name}.weight", f"{name}.bias"
        state[scale] = state[scale] * (variance + self.eps).rsqrt()
        state[shift] = state[shift] - mean * state[scale]
