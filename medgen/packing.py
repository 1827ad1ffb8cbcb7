"""The bytes of a model's parts: safetensors in half precision; what several share is there once.

An encoder that reads images by the finder has the finder's weights, bit for bit. A file that lacks
such a tensor says in its metadata which part has it, under which name, and the hash of its values,
so that the hash of a file still names all weights of its part.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from medgen.errors import ModelError

ELSEWHERE = "elsewhere"  # key of a file's metadata
LEAST = 4096  # numbers of a tensor that is worth a note


@dataclass(frozen=True)
class Elsewhere:
    """Where a tensor is that a file lacks.

    Attributes:
        part: Whose file has it.
        name: What it is called there.
        sha256: Of its type, its shape and its values.
    """

    part: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Packed:
    """A part as it is written.

    Attributes:
        data: The file's bytes.
        parameters: How many numbers the part has, those elsewhere among them.
    """

    data: bytes
    parameters: int


def pack(parts: Mapping[str, Any]) -> dict[str, Packed]:
    """The files of parts, by their names.

    Of several parts with one tensor, that which calls it by the shortest name has it: its owner,
    not who has it inside something else.

    Args:
        parts: A module, or its state dict, by name of the part.

    Raises:
        ModelError: If a weight is not finite in fp16.
    """
    from safetensors.torch import save

    halves = {part: _halves(part, weights) for part, weights in parts.items()}
    digests = {
        (part, name): _digest(tensor)
        for part, tensors in halves.items()
        for name, tensor in tensors.items()
        if tensor.numel() >= LEAST
    }
    owners: dict[str, Elsewhere] = {}
    for (part, name), digest in sorted(digests.items(), key=lambda item: len(item[0][1])):
        owners.setdefault(digest, Elsewhere(part, name, digest))
    packed = {}
    for part, tensors in halves.items():
        owner = {name: owners.get(digests.get((part, name), "")) for name in tensors}
        lacking = {name: asdict(at) for name, at in owner.items() if at and at.part != part}
        own = {name: tensor for name, tensor in tensors.items() if name not in lacking}
        note = {ELSEWHERE: json.dumps(lacking)} if lacking else None
        packed[part] = Packed(save(own, note), sum(one.numel() for one in tensors.values()))
    return packed


def unpack(data: bytes, other: Callable[[str], bytes], source: object) -> dict[str, Any]:
    """Tensors of a part by name; fp32, on the CPU.

    Args:
        data: Of its file.
        other: Gives the bytes of another part's file.
        source: What an error message calls the file.

    Raises:
        ModelError: If the file is not safetensors, or what it looks for elsewhere is not there.
    """
    tensors = _loaded(data, source)
    files: dict[str, dict[str, Any]] = {}
    for name, place in _lacking(data, source):
        if place.part not in files:
            files[place.part] = _loaded(other(place.part), source)
        tensor = files[place.part].get(place.name)
        if tensor is None or _digest(tensor) != place.sha256:
            raise ModelError(f"{source}: '{name}' is not in part '{place.part}'; copy it again")
        tensors[name] = tensor
    return {key: t.float() if t.is_floating_point() else t for key, t in tensors.items()}


def _loaded(data: bytes, source: object) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{source}: not safetensors ({error})") from None


def _lacking(data: bytes, source: object) -> Iterator[tuple[str, Elsewhere]]:
    """What a file says is elsewhere; its header is JSON behind eight bytes of its length."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    try:
        lacking = json.loads(header.get("__metadata__", {}).get(ELSEWHERE, "{}"))
        for name, place in lacking.items():
            yield name, Elsewhere(**place)
    except (ValueError, TypeError, AttributeError):
        raise ModelError(f"{source}: damaged (what is elsewhere); copy it again") from None


def _digest(tensor: Any) -> str:
    import torch

    about = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    values = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(about + values).hexdigest()


def _halves(part: str, weights: Any) -> dict[str, Any]:
    import torch

    state = weights.state_dict() if isinstance(weights, torch.nn.Module) else weights
    halves = {}
    for key, tensor in state.items():
        half = tensor.detach().cpu()
        half = half.half() if half.is_floating_point() else half
        if half.is_floating_point() and not half.isfinite().all():
            raise ModelError(f"part {part}: '{key}' has values that fp16 cannot hold; not saved")
        halves[key] = half.contiguous().clone()  # safetensors refuses tensors that share memory
    return halves
