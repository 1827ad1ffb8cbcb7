"""Parts of a network that stay as they are."""

from collections.abc import Sequence

from torch import nn

from medgen.errors import UsageError


def freeze(network: nn.Module, prefixes: Sequence[str]) -> None:
    """Keep the parameters whose names start with a prefix as they are.

    Raises:
        UsageError: If a prefix fits no parameter, or nothing is left to train.
    """
    for prefix in prefixes:
        found = [
            parameter
            for name, parameter in network.named_parameters()
            if name == prefix or name.startswith(prefix + ".")
        ]
        if not found:
            known = sorted({".".join(n.split(".")[:2]) for n, _ in network.named_parameters()})
            raise UsageError(f"--freeze {prefix}: no such part; parts: {', '.join(known)}")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"--freeze {' --freeze '.join(prefixes)}: leaves nothing to train")
