"""How near a refined radiograph is to the true one, beside interpolation and a plain U-Net."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.metrics.regression import SSIMMetric
from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor, nn

from benchmarks.generation import flows_at
from benchmarks.machine import commit, today
from benchmarks.rows import Row, Store
from benchmarks.train_flows import REFERENCE, TRAINING
from medgen.checkpoint import model_folder, read_card
from medgen.data.manifest import read_manifest
from medgen.diffusion.noise import generator_for
from medgen.instruct.refiner import halved, interpolated
from medgen.latents.haar import HaarCodec
from medgen.modality import Modality
from medgen.tasks.aligning.model import load_aligner
from medgen.tasks.codecs.images import FrameConfig, framed, random_patch
from medgen.tasks.flows.conditions import told_texts
from medgen.tasks.refining.model import load_refiner, refiner_part
from medgen.tasks.refining.refine import refined

PART = "refine"
LINEAR, CUBIC, UNET, OURS, ONE = "linear", "cubic", "plain U-Net", "refiner", "refiner, one step"
METHODS = (LINEAR, CUBIC, UNET, OURS, ONE)
BASELINES = "baselines"  # the key of what no refiner has a part in
IMAGES = 50
STEPS = 4
HAAR = HaarCodec(0.0, 1.0, 2)  # means of blocks of four pixels, then their details
RATE = 1e-3  # at which the plain U-Net begins to learn; it falls to 0

Upscale = Callable[[Tensor], Tensor]
"""(1, 1, *space) at half the resolution in, at the whole one out; in [-1, 1]."""


@dataclass(frozen=True)
class Bench:
    """What is measured, and on what.

    Attributes:
        data: The data folder, with radiographs of patients.
        model: By name or folder, with a refiner.
        studies: Where the manifests are.
        images: Of each set.
        minutes: That the plain U-Net learns: as long as the refiner took, with one thread.
        side: Pixels of the true radiographs.
    """

    data: Path
    model: str
    studies: Path
    images: int = IMAGES
    minutes: float = 41.0
    side: int = 384

    def truths(self, subject: str) -> list[Tensor]:
        """Radiographs at the full resolution that nothing was trained on."""
        if subject == "simulated":
            listed = read_manifest(self.studies / REFERENCE)[: self.images]
            paths = [study.of(Modality.XRAY)[0] for study in listed]
        else:
            paths = sorted((self.data / "cxr" / "images").iterdir())[: self.images]
        return [self._read(path)[None].float() for path in paths]

    def _read(self, path: Path) -> Tensor:
        return framed(path, Modality.XRAY, FrameConfig(self.side), self.studies / "views")

    def method(self, name: str) -> Upscale:
        """One of what is compared; the plain U-Net is trained when it is asked for."""
        if name == UNET:
            return _applied(self.plain_unet)
        return {LINEAR: interpolated, CUBIC: cubic}.get(name) or self._refiner(name)

    def _refiner(self, name: str) -> Upscale:
        cpu = torch.device("cpu")
        refiner, encoders = (
            load_refiner(self.model, Modality.XRAY, cpu),
            load_aligner(self.model, cpu),
        )
        (nothing,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [""])
        ours = partial(refined, embedding=nothing.embedding, refiner=refiner, seeds=[0], level=0.0)
        return partial(ours, steps={OURS: STEPS, ONE: 1}[name])

    @cached_property
    @torch.enable_grad()
    def plain_unet(self) -> nn.Module:
        """A network that learns the difference to linear interpolation, absolute error, as long."""
        listed = read_manifest(self.studies / TRAINING)
        images = [self._read(study.of(Modality.XRAY)[0]) for study in listed]
        torch.manual_seed(0)
        network = BasicUNet(2, 1, 1, features=(24, 24, 48, 96, 96, 24))
        optimizer = torch.optim.AdamW(network.parameters())
        started, step, spent = time.monotonic(), 0, 0.0
        while spent < 1:  # of the time
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - spent)
            truth = torch.stack(_patches(images, step)).float()
            blurred = interpolated(halved(truth))
            loss = (blurred + network(blurred) - truth).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step, spent = step + 1, (time.monotonic() - started) / (60 * self.minutes)
        return network.eval()


def _patches(images: Sequence[Tensor], step: int) -> list[Tensor]:
    made = []
    for item in range(4):
        generator = generator_for(0, 4 * step + item)
        at = int(torch.randint(len(images), (), generator=generator))
        made.append(random_patch(images[at], 128, generator))
    return made


def cubic(low: Tensor) -> Tensor:
    """Cubic interpolation."""
    whole = F.interpolate(low, scale_factor=2, mode="bicubic", align_corners=False)
    return whole.clamp(-1, 1)


def _applied(network: nn.Module) -> Upscale:
    def upscale(low: Tensor) -> Tensor:
        blurred = interpolated(low)
        made: Tensor = blurred + network(blurred)
        return made.clamp(-1, 1)

    return upscale


def refinings(data: Path, model: str, studies: Path, store: Store) -> Iterator[Row]:
    """A row of each set and method; nothing where the model has no refiner, or studies lack.

    Args:
        data: The data folder.
        model: By name or folder.
        studies: Where `benchmarks.train_flows` has its studies.
        store: Keeps the rows.
    """
    card = flows_at(model)
    if card is None or refiner_part(Modality.XRAY) not in card.parts:
        return
    if not (studies / REFERENCE).exists() and store.measures:
        return
    key = read_card(model_folder(model)).parts[refiner_part(Modality.XRAY)].sha256[:8]
    bench = Bench(data, model, studies)
    for subject in ("simulated", "patients"):
        for method in METHODS:
            row = Row(PART, subject, "xray", "xray", method, {}, 0.0, commit(), today())
            own = key if method in (OURS, ONE) else BASELINES
            if kept := store.scored(row, own, partial(scores, bench, subject, method)):
                yield kept


@torch.no_grad()
def scores(bench: Bench, subject: str, method: str) -> dict[str, float]:
    """PSNR and SSIM over the range of 2; its details; and how far it halves from what was given.

    `detail` is the deviation of what halving loses, over that of the truth's: a mean of all that
    may be there has less, and is blurred.
    """
    upscale, similarity = bench.method(method), SSIMMetric(spatial_dims=2, data_range=2.0)
    signal, alike, away, detail = [], [], [], []
    for truth in bench.truths(subject):
        low = halved(truth)
        made = upscale(low)
        signal.append(-10 * np.log10(float((made - truth).square().mean()) / 4))
        alike.append(float(similarity(made, truth)))
        away.append(float((halved(made) - low).abs().max()) / 2)
        fine, wanted = (HAAR.encode(one)[:, 1:].std() for one in (made, truth))
        detail.append(float(fine / wanted))
    return {
        "psnr": float(np.mean(signal)),
        "ssim": float(np.mean(alike)),
        "detail": float(np.mean(detail)),
        "halved": float(np.max(away)),
        "n": float(len(signal)),
    }
