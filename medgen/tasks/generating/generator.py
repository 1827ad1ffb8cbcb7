"""A model in memory: all that makes images of one or several modalities at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.checkpoint import Card, model_folder
from medgen.crossguide.flows import CrossGuide, Voice
from medgen.data.standard import StandardConfig
from medgen.diffusion.guidance import Guidance
from medgen.errors import MedgenError, UsageError
from medgen.instruct.reader import Reader, instructed
from medgen.io.image import MedicalImage
from medgen.latents.codec import pad_to
from medgen.modality import FACTS, Kind, Modality
from medgen.shapes import Latent
from medgen.tasks.aligning.model import LoadedAligner, load_aligner
from medgen.tasks.codecs.model import LoadedCodec
from medgen.tasks.device import choose_device
from medgen.tasks.flows.conditions import Told, conditions_of, told_scan, told_texts
from medgen.tasks.flows.cross_model import load_guide
from medgen.tasks.flows.flow import GUIDANCE, Flow
from medgen.tasks.flows.model import codec_of, common_spacings, load_flow
from medgen.tasks.flows.prompt import CHEST, HEAD, Prompt, anatomy_of
from medgen.tasks.instructing.model import check_reads, load_reader
from medgen.tasks.instructing.read import Shown, read_shown
from medgen.tasks.instructing.references import Pointed, deep_pictures, flat_pictures


@dataclass(frozen=True)
class Generator:
    """What makes images.

    Attributes:
        encoders: Of what it is told.
        codecs: By modality.
        flows: By modality.
        guide: What the flows tell each other.
        readers: Of references, by modality; of the flows that have learned to read them.
        card: What the model is.
        spacings: Voxel sizes that all its flows of volumes make, mm; none without volumes.
        device: Where it computes.
    """

    encoders: LoadedAligner
    codecs: Mapping[Modality, LoadedCodec]
    flows: Mapping[Modality, Flow]
    guide: CrossGuide
    readers: Mapping[Modality, Reader]
    card: Card
    spacings: tuple[float, ...]
    device: torch.device

    def latent_shape(self, modality: Modality) -> tuple[int, ...]:
        """Channels and cells of a latent."""
        return (self.flows[modality].config.channels, *self.flows[modality].config.grid)

    def view(self, modality: Modality) -> StandardConfig:
        """The frame in which its flow sees volumes."""
        stride = self.codecs[modality].codec.stride
        i, j, k = (cells * stride for cells in self.flows[modality].config.grid)
        return StandardConfig(shape=(i, j, k), spacings=self.spacings)

    def told(self, modality: Modality) -> set[str]:
        """Modalities whose encoder a flow has listened to; others reach it by the shared space."""
        return set(self.card.extra.get(f"told-{modality}", ()))

    def guidance(self, kind: Kind, wanted: float | None) -> float:
        """How hard the flow of a kind is pushed: as wanted, or as suits it."""
        usual = self.card.extra.get(f"guidance-{kind.modality}", GUIDANCE)
        return usual if wanted is None else wanted

    def hears(self, modality: Modality) -> dict[str, bool]:
        """Which of the other flows a flow hears; False for one that it was never trained with."""
        return self.guide.heard(str(modality), [str(one) for one in self.flows])

    @torch.no_grad()
    def decode(self, latents: Latent, modality: Modality) -> Float[Tensor, "batch 1 *space"]:
        """Images in [-1, 1].

        Raises:
            MedgenError: If the model answers with NaN.
        """
        images = self.codecs[modality].codec.decode(latents).clamp(-1, 1)
        if not images.isfinite().all():
            raise MedgenError(
                "the model answered with NaN; nothing was written: try another --seed"
            )
        return images.float().cpu()

    @property
    def findings(self) -> list[str] | None:
        """What all flows have seen; None if nobody says."""
        known = [self.card.extra.get(f"findings-{name}") for name in self.flows]
        said = [set(each) for each in known if each is not None]
        return sorted(set.intersection(*said)) if said else None

    def anatomies(self, modality: Modality) -> set[str]:
        """Whose images a flow has seen, by their findings; everybody's, where it knows none."""
        found = self.card.extra.get(f"findings-{modality}") or ()
        return {anatomy_of(name) for name in found} or {HEAD, CHEST}

    def check_anatomy(self, prompt: Prompt | None = None) -> set[str]:
        """The anatomies that all flows have seen, and that a prompt speaks of.

        Raises:
            UsageError: If the flows have none in common, with each other or with the prompt.
        """
        common = set.intersection(*(self.anatomies(name) for name in self.flows))
        asked = prompt.anatomies if prompt else set()
        if not common or (asked and not asked & common):
            each = "; ".join(
                f"{name} of a {' or a '.join(sorted(self.anatomies(name)))}" for name in self.flows
            )
            what = f", and the text speaks of a {' and a '.join(sorted(asked))}" if asked else ""
            remedy = "ask for modalities that go together" if len(self.flows) > 1 else "reword it"
            raise UsageError(
                f"--modality: one patient, one anatomy; this model makes {each}{what}; {remedy}"
            )
        return (asked & common) or common

    def spacing(
        self, prompt: Prompt, wanted: float | None, sources: Sequence[MedicalImage] = ()
    ) -> float | None:
        """Of the voxels of volumes, mm; None if there are none.

        Args:
            prompt: Says of what, and so how large.
            wanted: What was asked for; None for what suits.
            sources: Images that are told; they show what their modality's flow has seen.

        Raises:
            UsageError: If the flows do not make such voxels, or nothing says which they shall make.
        """
        known = sorted(self.spacings)
        words = " or ".join(f"{each:g}" for each in known)
        if wanted is not None and wanted not in known:
            raise UsageError(f"--spacing {wanted:g}: this model makes {words} mm")
        if len(known) < 2 or wanted is not None:
            return wanted or (known[0] if known else None)
        told = [self.anatomies(one.kind.modality) for one in sources if one.kind]
        possible = prompt.anatomies or self.check_anatomy().intersection(*told)
        if len(possible) != 1:
            raise UsageError(f"--spacing: say which, {words} mm; the prompt does not say of what")
        return known[0] if possible == {HEAD} else known[-1]


@lru_cache(maxsize=1)
def load_flows(model: str, modalities: Sequence[Modality], device: str) -> Generator:
    """Load what makes some modalities; one model stays in memory, so that a batch loads it once.

    Args:
        model: A name or a folder.
        modalities: A tuple.
        device: As `choose_device` takes it.

    Raises:
        ModelError: If the model is missing or damaged, lacks a part, or makes volumes that share
            no grid.
    """
    place = choose_device(device)
    loaded = {name: load_flow(model, name, place) for name in modalities}
    flows = {name: one.flow for name, one in loaded.items()}
    codecs = {name: codec_of(model, one.config, place) for name, one in flows.items()}
    guide = load_guide(model_folder(model), {str(name): one for name, one in flows.items()})
    spacings = common_spacings(
        {name: (flows[name], codecs[name]) for name in modalities if FACTS[name].axes == 3}
    )
    (card, *_) = (one.card for one in loaded.values())
    encoders = load_aligner(model, place)
    found = {name: load_reader(model_folder(model), name) for name in modalities}
    readers = {name: reader.to(place) for name, reader in found.items() if reader}
    return Generator(
        encoders, codecs, flows, guide.eval().to(place), readers, card, spacings, place
    )


@torch.no_grad()
def voice_of(
    loaded: Generator,
    kind: Kind,
    told: Sequence[Sequence[Told]],
    guidance: Guidance,
    *,
    spacing: float | None,
    references: Sequence[Pointed] = (),
    reference_guidance: float | None = None,
) -> Voice:
    """The flow that makes a kind, with what it is told.

    References are read once, and seen at every step.

    Args:
        loaded: The model.
        kind: What is made.
        told: What each item of the batch is told; nothing, or the same number of things each.
        guidance: How hard it is pushed; it is not, where nothing is told or shown.
        spacing: Of a volume's voxels, mm.
        references: Every item of the batch sees them.
        reference_guidance: How hard it is pushed towards them alone; 0 ignores them, 1 does not
            push. None: towards them and what is told at once, which takes no more evaluations.

    Raises:
        ModelError: If there are references, and the flow never learned to read them.
    """
    encoders, flow = loaded.encoders, loaded.flows[kind.modality]
    (nothing,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [""])
    is_scan = spacing is not None and bool(flow.config.spacings)
    scan = [told_scan(spacing, kind.contrast).to(loaded.device)] if spacing and is_scan else []
    conditions = conditions_of([[*(each or [nothing]), *scan] for each in told])
    empty = conditions_of([[nothing, *scan]] * len(told))
    pushed = guidance if all(told) else Guidance(1.0)
    if not references:
        return Voice(flow.network, flow.denoise(conditions, empty, pushed))
    reader = check_reads(loaded.card.name, loaded.readers, kind.modality)
    shown = _shown(loaded, kind.modality, references, spacing, scan)

    def said(caption: str) -> Told:
        (one,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [caption])
        return one

    read = read_shown(flow, reader, [shown] * len(told), said)
    scale = 1.0 if reference_guidance is None else reference_guidance
    seeing = partial(instructed, network=flow.unet, reader=reader, read=read, scale=scale)
    if reference_guidance is None:
        return Voice(flow.network, flow.denoise(conditions, empty, guidance, seeing))
    return Voice(flow.network, flow.denoise(conditions, empty, pushed, seeing, seeing))


def _shown(
    loaded: Generator,
    modality: Modality,
    references: Sequence[Pointed],
    spacing: float | None,
    scan: Sequence[Told],
) -> list[Shown]:
    """References as the flow of a modality sees them."""
    codec, flow = loaded.codecs[modality], loaded.flows[modality]
    findings = loaded.readers[modality].config.findings
    if spacing is not None and flow.config.spacings:
        pictures = deep_pictures(references, loaded.view(modality).shape, spacing, findings)
    else:
        pictures = flat_pictures(references, codec.frame.side, findings)
    return [
        Shown(
            codec.codec.encode(pad_to(one[None].to(loaded.device), codec.codec.stride))[0],
            of.role,
            of.caption,
            scan[0] if scan else None,
        )
        for one, of in zip(pictures, references, strict=True)
    ]
