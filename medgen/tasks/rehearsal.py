"""A dry run: how large a round's network is, what a step takes, and what would be trained."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from medgen.checkpoint import model_folder, read_card
from medgen.config import from_mapping
from medgen.data.standard import channels_of
from medgen.diffusion.conditioner import Condition
from medgen.encoders.finder import Finder
from medgen.encoders.spots import Spots
from medgen.errors import ModelError
from medgen.instruct.reader import Reader, gathered
from medgen.instruct.refiner import Refiner
from medgen.latents.kl import KLCodec
from medgen.latents.kl_loss import CodecTraining
from medgen.latents.report import ReportCodec
from medgen.latents.writer import Told, Writer
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.codecs.report_train import ReportTrainConfig
from medgen.tasks.codecs.train import CodecTrainConfig
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.device import choose_device
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.spots_items import CELLS
from medgen.tasks.finder.spots_train import SpotsTrainConfig
from medgen.tasks.fitting.freeze import freeze
from medgen.tasks.flows.cross_model import guide_in
from medgen.tasks.flows.flow import Flow, FlowConfig
from medgen.tasks.flows.model import flow_part
from medgen.tasks.flows.train import FlowTrainConfig
from medgen.tasks.going_on import going_on
from medgen.tasks.instructing.archive_train import ArchiveTrainConfig
from medgen.tasks.instructing.model import new_reader
from medgen.tasks.instructing.train import InstructTrainConfig
from medgen.tasks.joining.items import CrossTraining
from medgen.tasks.joining.train import CrossTrainConfig, to_teach
from medgen.tasks.memory import available_bytes
from medgen.tasks.refining.train import RefineTrainConfig, refiner_shape
from medgen.tasks.rehearsal_studies import counted
from medgen.tasks.reporting.writer_train import WriterTrainConfig
from medgen.tasks.train import TrainConfig
from medgen.tasks.translator.translator import TARGETS, Translator

COPIES = 5  # weights, gradients, two moments, and the average
BYTES = 4  # of a number
TRIED = 2  # steps, of which the faster one counts
PROMPT_TOKENS = 128
CT_CHANNELS = channels_of(Modality.CT)
EMBEDDING = 256  # of the space that texts and images share
GIGABYTE = 1e9

Work = Callable[[nn.Module], Tensor]
"""Network in, a step's loss out; with made-up data of the right size."""


@dataclass(frozen=True)
class Plan:
    """What a round would do.

    Attributes:
        round: Its name.
        studies: How many it would learn from; None without a manifest.
        parameters: That learn: of the network, and of a codec's critic.
        steps: Of the training.
        batch: Items a step.
        memory_gb: Weights, optimizer and what a step remembers, 1e9 bytes.
        step_seconds: Of one step here; None if it does not fit into the memory.
    """

    round: str
    studies: int | None
    parameters: int
    steps: int
    batch: int
    memory_gb: float
    step_seconds: float | None

    @property
    def lines(self) -> list[str]:
        """For a person."""
        time_line = "a step does not fit into this machine's memory; choose a smaller --size"
        if self.step_seconds is not None:
            hours = self.steps * self.step_seconds / 3600
            time_line = f"time        {self.step_seconds:.2f} s a step here, {hours:.1f} h in all"
        return [
            f"round       {self.round}",
            *([f"studies     {self.studies}"] if self.studies is not None else []),
            f"parameters  {self.parameters / 1e6:.2f} million",
            f"steps       {self.steps} of {self.batch} items",
            f"memory      {self.memory_gb:.2f} GB",
            time_line,
        ]

    def as_json(self) -> dict[str, object]:
        """For a script."""
        return {key: getattr(self, key) for key in self.__dataclass_fields__}


def rehearse(name: str, config: Any, manifest: Path | None) -> Plan:
    """Count and time a round without training it.

    The memory is counted with tensors that hold no numbers; time is measured only where a step
    fits into half of what is free.

    Args:
        name: Of the round.
        config: Its settings.
        manifest: The studies, if they are to be counted.

    Raises:
        InputError: If the manifest is wrong.
        UsageError: If what is to stay as it is is not there, or is everything.
    """
    studies = counted(config, manifest)  # what is wrong with it must not wait for the steps
    config = going_on(config)
    with FakeTensorMode():
        network, work = _built(config)
        parameters, frozen = (
            sum(each.numel() for each in network.parameters() if each.requires_grad is learns)
            for learns in (True, False)
        )
        needed = BYTES * (COPIES * parameters + frozen) + _remembered(network, work)
    seconds = None
    if needed < available_bytes() / 2:
        seconds = _timed(config)
    return Plan(
        name,
        studies,
        parameters,
        config.fit.steps,
        config.fit.batch,
        round(needed / GIGABYTE, 3),
        seconds,
    )


def _remembered(network: nn.Module, work: Work) -> int:
    """Bytes that a step keeps for its way back."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage.nbytes()
        held.append(storage)  # so that no later one has its number
        return tensor

    held: list[torch.UntypedStorage] = []
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        work(network)
    weights = {id(each.untyped_storage()) for each in network.parameters()}
    return sum(size for key, size in kept.items() if key not in weights)


def _timed(config: Any) -> float:
    device = choose_device(config.fit.device)
    network, work = _built(config)
    network = network.to(device)
    seconds = []
    with flushed_denormals(), torch.device(device):
        for _ in range(TRIED):
            start = time.perf_counter()
            work(network).backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    return round(min(seconds), 3)


def _built(config: Any) -> tuple[nn.Module, Work]:
    """The network of a round, with what it freezes, and its work."""
    network, work = _shaped(config)
    if isinstance(config, FlowTrainConfig | FinderTrainConfig | TrainConfig):
        freeze(network, config.freeze)
    elif isinstance(network, CodecTraining):
        freeze(network.codec, config.freeze)
    return network, work


def _shaped(config: Any) -> tuple[nn.Module, Work]:
    match config:
        case FlowTrainConfig():
            return Flow(config.flow), _flow_work(config)
        case CodecTrainConfig():
            return CodecTraining(KLCodec(config.codec), config.loss), _codec_work(config)
        case CrossTrainConfig():
            flows = _flows_of(config.init, config.pair)
            taught = guide_in(read_card(model_folder(config.init)), flows)
            guide, _ = to_teach(taught, flows, config)
            return _beside(CrossTraining(guide), flows), _cross_work(config, flows)
        case InstructTrainConfig() | ArchiveTrainConfig():
            flows = _flows_of(config.init, [config.modality])
            (flow,) = flows.values()
            reader = new_reader(flow, config.reader, ())
            return _beside(reader, flows), _instruct_work(config, flow)
        case RefineTrainConfig():
            return Refiner(refiner_shape(config, EMBEDDING)), _refine_work(config)
        case ReportTrainConfig():
            return ReportCodec(config.codec), _report_work(config)
        case FinderTrainConfig():
            return Finder(config.finder), _finder_work(config)
        case SpotsTrainConfig():
            return Spots(CT_CHANNELS, max(1, len(config.spots)), config.spot_width), _spots_work(
                config
            )
        case WriterTrainConfig():
            return Writer(config.writer), _writer_work(config)
        case TrainConfig():
            return Translator(config.translator), _translator_work(config)
    raise TypeError(f"no rehearsal for {type(config).__name__}")


def _beside(network: nn.Module, flows: Mapping[str, Flow]) -> nn.Module:
    """A network with the frozen flows that it works in: they take memory, and go where it goes."""
    network.add_module("flows", nn.ModuleDict(flows))
    return network


def _flow_work(config: FlowTrainConfig) -> Work:
    batch, flow = config.fit.batch, config.flow

    def work(network: nn.Module) -> Tensor:
        noisy = torch.randn(batch, flow.channels, *flow.grid)
        loss: Tensor = network(noisy, torch.ones(batch), [_prompt(batch, flow)]).square().mean()
        return loss

    return work


def _prompt(batch: int, flow: FlowConfig) -> Condition:
    tokens = torch.randn(batch, PROMPT_TOKENS, flow.conditioner.sources[0])
    mask = torch.ones(batch, PROMPT_TOKENS, dtype=torch.bool)
    return Condition(tokens, mask, 0, torch.ones(batch))


def _flows_of(init: str, modalities: Sequence[Modality]) -> dict[str, Flow]:
    """The flows of a model, without their weights."""
    folder = model_folder(init)
    parts = read_card(folder).parts
    missing = [name for name in modalities if flow_part(name) not in parts]
    if missing:
        raise ModelError(f"{folder}: cannot make {missing[0]}; name another --init")
    configs = {str(name): parts[flow_part(name)].config for name in modalities}
    return {
        name: Flow(from_mapping(FlowConfig, one, origin=str(folder))).requires_grad_(False)
        for name, one in configs.items()
    }


def _instruct_work(config: InstructTrainConfig | ArchiveTrainConfig, flow: Flow) -> Work:
    """Two references an item."""
    batch, shape = config.fit.batch, flow.config

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, Reader)
        latent = torch.randn(batch, shape.channels, *shape.grid)
        context = torch.randn(batch, shape.conditioner.length, shape.conditioner.width)
        with torch.no_grad():
            features = flow.features(latent, context)
            if network.config.raw:
                features = features.new_zeros(batch, network.config.raw, *features.shape[2:])
        tokens = list(network.read(features, torch.zeros(batch, dtype=torch.long))[:, None])
        read = gathered([[one, one] for one in tokens], features)
        with network.attached(flow.unet, read):
            return flow.predict(latent, torch.ones(batch), context).square().mean()

    return work


def _cross_work(config: CrossTrainConfig, flows: Mapping[str, Flow]) -> Work:
    batch = config.fit.batch

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, CrossTraining)
        noisy = {
            name: torch.randn(batch, flow.config.channels, *flow.config.grid)
            for name, flow in flows.items()
        }
        time = torch.ones(batch)
        told = network.guide.tell(noisy, time)
        again = network.guide.tell(noisy, time) if config.invariant else {}
        losses = [one.embedding.square().mean() for one in (*told.values(), *again.values())]
        for name, flow in flows.items():
            with network.guide.hearing(name, flow.network, told):
                said = flow(noisy[name], time, [_prompt(batch, flow.config)])
            losses.append(said.square().mean())
        return torch.stack(losses).sum()

    return work


def _refine_work(config: RefineTrainConfig) -> Work:
    axes, batch = FACTS[config.modality].axes, config.fit.batch

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, Refiner)
        low = torch.randn(batch, 1, *[config.patch // 2] * axes)
        noisy = torch.randn(batch, 2**axes - 1, *low.shape[2:])
        told = torch.randn(batch, EMBEDDING)
        return network(noisy, torch.ones(1), low, torch.zeros(batch), told).square().mean()

    return work


def _codec_work(config: CodecTrainConfig) -> Work:
    axes = FACTS[config.modality].axes

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, CodecTraining)
        image = torch.randn(config.fit.batch, 1, *[config.side] * axes)
        cells = [config.side // 2 ** len(config.codec.widths)] * axes
        noise = torch.randn(config.fit.batch, config.codec.latent_channels, *cells)
        is_asked = config.loss.adversarial > 0
        return network.terms(image, noise, is_asked=is_asked)["total"]

    return work


def _report_work(config: ReportTrainConfig) -> Work:
    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, ReportCodec)
        ids = torch.full((config.fit.batch, min(PROMPT_TOKENS, config.codec.max_tokens)), 5)
        return network.logits(network.posterior(ids).mean, ids).square().mean()

    return work


def _finder_work(config: FinderTrainConfig) -> Work:
    kind = Kind.parse(config.finder.kinds[0])
    is_flat = FACTS[kind.modality].axes == 2
    space = (config.standard.side,) * 2 if is_flat else config.standard.shape

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, Finder)
        image = torch.randn(config.fit.batch, channels_of(kind.modality), *space)
        return network(network.tokens(kind, image)).odds.square().mean()

    return work


def _spots_work(config: SpotsTrainConfig) -> Work:
    def work(network: nn.Module) -> Tensor:
        crops = torch.randn(config.fit.batch, CT_CHANNELS, *[2 * CELLS] * 3)
        return network(crops).square().mean()

    return work


def _writer_work(config: WriterTrainConfig) -> Work:
    shape, batch = config.writer, config.fit.batch

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, Writer)
        nothing = torch.zeros(batch, shape.claims, dtype=torch.long)
        tokens = torch.randn(batch, PROMPT_TOKENS, shape.seen)
        mask = torch.ones(batch, PROMPT_TOKENS, dtype=torch.bool)
        ids = torch.full((batch, min(PROMPT_TOKENS, shape.max_tokens)), 5)
        told = Told(nothing, nothing, nothing, nothing, tokens, mask)
        return network(told, ids).square().mean()

    return work


def _translator_work(config: TrainConfig) -> Work:
    side = config.examples.patch // 2

    def work(network: nn.Module) -> Tensor:
        assert isinstance(network, Translator)
        channels, bands = 1 + network.config.mri_slots, network.ct_codec.channels
        batch = config.fit.batch
        noisy = torch.randn(batch, bands, side, side, side)
        source = torch.randn(batch, bands * channels, side, side, side)
        asked = torch.ones(batch, len(TARGETS) + channels)
        return network(noisy, torch.ones(batch), source, asked).square().mean()

    return work
