"""How long a radiograph takes: the command from a cold start, and our sampler beside others'.

The others walk the same network from the same noise in the same number of Euler steps: MONAI's
`DiffusionInferer` with its `RFlowScheduler`, and diffusers' `FlowMatchEulerDiscreteScheduler` in
the loop that its pipelines have. All three take turns, and arrive at the same latents.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from monai.inferers.inferer import DiffusionInferer
from monai.networks.schedulers.rectified_flow import RFlowScheduler
from torch import Tensor, nn

from benchmarks.machine import commit, today
from benchmarks.rows import Row, Store
from benchmarks.speed import usage_of
from medgen.diffusion.denoiser import Denoiser
from medgen.diffusion.prediction import Prediction
from medgen.diffusion.process import RectifiedFlow
from medgen.diffusion.sampler import last, sample_euler
from medgen.diffusion.schedule import uniform_stops
from medgen.modality import Modality
from medgen.tasks.flows.conditions import conditions_of, told_texts
from medgen.tasks.generate import load_generator
from medgen.tasks.generating.config import GenerateConfig

PART = "generation"
PROMPT = "Large left pleural effusion. Heart size normal."
BATCH, STEPS, TURNS = 4, 10, 42  # the steps divide MONAI's 1000 discrete times
COLD, SAMPLERS, REPEATS = 8, "samplers", 3  # radiographs of the longer run


def generation_speeds(model: str, key: str, threads: int, store: Store) -> Iterator[Row]:
    """A row of the command, and one of the samplers.

    Args:
        model: By name or folder.
        key: Of its weights.
        threads: Of every computation.
        store: Keeps the rows, and gets the radiographs.
    """
    makers: dict[str, Callable[[], dict[str, float]]] = {
        "command": partial(_command, model, threads, store.folder / "generated" / "speed"),
        SAMPLERS: partial(_samplers, model, threads),
    }
    for subject, make in makers.items():
        path = store.path(PART, "flow", f"{key}-{threads}", f"speed-{subject}")
        if row := store.row(path, partial(_row, subject, make)):
            yield row


def _row(subject: str, make: Callable[[], dict[str, float]]) -> Row:
    return Row(PART, f"speed {subject}", "text", "xray", "flow", make(), 0.0, commit(), today())


def _command(model: str, threads: int, out: Path) -> dict[str, float]:
    """Seconds of one radiograph from a cold start, and of each further one."""
    line = [sys.executable, "-m", "medgen", "generate", "--text", PROMPT, "--modality", "xray"]
    line += ["--model", model, "--device", "cpu", "--overwrite", "-o", str(out)]
    one = [usage_of([*line, "-n", "1"], threads=threads) for _ in range(REPEATS)]
    many = [usage_of([*line, "-n", str(COLD)], threads=threads) for _ in range(REPEATS)]
    cold = statistics.median(use.seconds for use in one)
    more = statistics.median(use.seconds for use in many)
    return {
        "cold": cold,
        "cold fastest": min(use.seconds for use in one),
        "cold slowest": max(use.seconds for use in one),
        "each": (more - cold) / (COLD - 1),
        "peak_gb": max(use.peak_gb for use in many),
    }


@torch.no_grad()
def _samplers(model: str, threads: int) -> dict[str, float]:
    """Seconds of each sampler over ours, and how far from ours its latents end."""
    torch.set_num_threads(threads)
    loaded = load_generator(GenerateConfig(model=model, device="cpu"))
    encoders, flow = loaded.encoders, loaded.flows[Modality.XRAY]
    told = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [PROMPT])
    context = flow.conditioner(conditions_of([told] * BATCH))
    noise = torch.randn(
        BATCH, *loaded.latent_shape(Modality.XRAY), generator=torch.Generator().manual_seed(0)
    )
    network = partial(flow.predict, context=context)
    walks = {
        "ours": partial(_ours, network, flow.process, noise),
        "monai": partial(_monai, network, noise),
        "diffusers": partial(_diffusers, network, noise),
    }
    ends = {name: walk() for name, walk in walks.items()}  # also warms up
    seconds: dict[str, list[float]] = {name: [] for name in walks}
    names = list(walks)
    for turn in range(TURNS):
        for at in range(len(names)):  # each begins as often as the others
            name = names[(turn + at) % len(names)]
            started = time.perf_counter()
            walks[name]()
            seconds[name].append(time.perf_counter() - started)
    found = {"ours": statistics.median(seconds["ours"])}
    for name in ("monai", "diffusers"):
        ratios = [own / other for own, other in zip(seconds["ours"], seconds[name], strict=True)]
        found |= {f"{name} ratio": statistics.median(ratios)}
        found |= {f"{name} lowest": min(ratios), f"{name} highest": max(ratios)}
        found[f"{name} apart"] = float((ends[name] - ends["ours"]).abs().max())
    return found


def _ours(network: Callable[..., Tensor], process: RectifiedFlow, noise: Tensor) -> Tensor:
    denoiser = Denoiser(network, process, Prediction.FLOW)
    return last(sample_euler(denoiser, process, noise, uniform_stops(STEPS)))


class _Adapted(nn.Module):
    """The network with the arguments that MONAI gives to one."""

    def __init__(self, network: Callable[..., Tensor]) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor, timesteps: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(noisy, timesteps / 1000)


def _monai(network: Callable[..., Tensor], noise: Tensor) -> Tensor:
    scheduler = RFlowScheduler(num_train_timesteps=1000)
    scheduler.set_timesteps(STEPS)
    inferer = DiffusionInferer(scheduler)
    found: Tensor = inferer.sample(noise, _Adapted(network), scheduler, verbose=False)  # type: ignore[arg-type]
    return found


def _diffusers(network: Callable[..., Tensor], noise: Tensor) -> Tensor:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=uniform_stops(STEPS)[:-1].tolist())
    latent = noise
    for when in scheduler.timesteps:
        velocity = -network(latent, when[None].float() / 1000)
        latent = scheduler.step(velocity, when, latent, return_dict=False)[0]
    return latent
