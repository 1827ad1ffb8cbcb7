"""Everything a training run must remember: weights, their average, Adam's moments, counters."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from medgen.errors import ModelError, UsageError
from medgen.tasks.fitting.snapshots import Snapshot


@dataclass
class TrainingState:
    """A run between two steps.

    Attributes:
        network: The network, on its device.
        optimizer: AdamW over the parameters that are not frozen.
        trained: Name -> parameter that is not frozen, in the network's order.
        averaged: Name -> moving average of each trainable parameter.
        step: Steps done.
        sums: Loss terms and gradient norm, added up since the last line of the journal.
        summed: Steps in `sums`.
    """

    network: nn.Module
    optimizer: Optimizer
    trained: dict[str, nn.Parameter]
    averaged: dict[str, Tensor]
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that are trained."""
        return list(self.trained.values())

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the average to decay * average + (1 - decay) * weights."""
        for name, parameter in self.trained.items():
            self.averaged[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def restart_average(self) -> None:
        """Let the average be the weights."""
        for name, parameter in self.trained.items():
            self.averaged[name].copy_(parameter)

    def averaged_weights(self) -> dict[str, Tensor]:
        """The network's state dict with the average in place of each trained parameter."""
        return {**self.network.state_dict(), **self.averaged}

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """What a snapshot keeps as tensors."""
        moments = {
            f"{name}:{key}": value
            for name, parameter in self.trained.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        return {
            "weights": dict(self.network.state_dict()),
            "averaged": self.averaged_weights(),
            "optimizer": moments,
        }

    def counters(self) -> dict[str, Any]:
        """What a snapshot keeps as JSON."""
        return {
            "step": self.step,
            "sums": self.sums,
            "summed": self.summed,
            "trained": list(self.trained),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Become the state that a snapshot keeps, bit for bit.

        Raises:
            ModelError: It belongs to another network.
            UsageError: Other parameters were frozen then.
        """
        changed = sorted(set(self.trained) ^ set(snapshot.facts["trained"]))
        try:
            self.network.load_state_dict(snapshot.tensors("weights"))
        except RuntimeError as error:
            why = str(error).splitlines()[1].strip()
            raise ModelError(f"{snapshot.path}: made for another network ({why})") from error
        if changed:
            raise UsageError(
                f"{snapshot.path}: cannot resume with other frozen parts ({changed[0]}); "
                "freeze the same ones or start a new run"
            )
        averaged = snapshot.tensors("averaged")
        for name, shadow in self.averaged.items():
            shadow.copy_(averaged[name])
        self._restore_moments(snapshot.tensors("optimizer"))
        self.step, self.summed = snapshot.facts["step"], snapshot.facts["summed"]
        self.sums = dict(snapshot.facts["sums"])

    def _restore_moments(self, moments: dict[str, Tensor]) -> None:
        for key, value in moments.items():
            name, _, moment = key.rpartition(":")
            parameter = self.trained[name]
            self.optimizer.state[parameter][moment] = value.to(parameter.device)


def new_state(network: nn.Module, *, weight_decay: float) -> TrainingState:
    """The state before the first step; vectors and scalars (biases, norms) do not decay.

    Raises:
        UsageError: Every parameter is frozen.
    """
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    if not trained:
        raise UsageError("every part of the network is frozen; nothing is left to train")
    parameters = list(trained.values())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)
    averaged = {name: parameter.detach().clone() for name, parameter in trained.items()}
    return TrainingState(network, optimizer, trained, averaged)
