"""Generate: a prompt and any images in, images of one modality or of several out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from medgen.crossguide.flows import CrossGuide, Layout, together
from medgen.diffusion.guidance import Guidance
from medgen.diffusion.noise import draw_noise, generator_for
from medgen.diffusion.sampler import Step, last
from medgen.diffusion.schedule import Stops, finishing, shifted, uniform_stops
from medgen.errors import UsageError
from medgen.instruct.instruction import Instruction
from medgen.instruct.wording import worded
from medgen.io.image import MedicalImage
from medgen.metrics.phrases import load_phrases
from medgen.modality import Kind, Modality
from medgen.tasks.denormals import flushed_denormals
from medgen.tasks.flows.conditions import Told, told_image, told_texts
from medgen.tasks.flows.prompt import Prompt, read_prompt
from medgen.tasks.generating.agreement import Agreement, agreement_of
from medgen.tasks.generating.config import SAMPLERS, GenerateConfig, is_flat
from medgen.tasks.generating.foreign import check_given
from medgen.tasks.generating.generator import Generator, load_flows, voice_of
from medgen.tasks.generating.made_image import image_of
from medgen.tasks.instructing.references import Pointed
from medgen.tasks.memory import enough_memory
from medgen.tasks.refining.model import load_refiner
from medgen.tasks.refining.refine import refined

CANDIDATES = 2**20  # more than anybody asks for of one sample; spreads the seeds


@dataclass(frozen=True)
class Sample:
    """What was made at once: one image, or several of one patient.

    Attributes:
        index: Number among the samples of its prompt, from 0.
        images: What was made, in the order of the config's kinds; volumes are on one grid.
        agreement: With the prompt; None without one, or where no image has an encoder.
        candidates: Agreement of all candidates that it was chosen from.
    """

    index: int
    images: tuple[MedicalImage, ...]
    agreement: Agreement | None = None
    candidates: tuple[Agreement, ...] = ()

    @property
    def image(self) -> MedicalImage:
        """The first."""
        return self.images[0]


def load_generator(config: GenerateConfig) -> Generator:
    """Load what a prompt needs.

    Raises:
        ModelError: If the model is missing, damaged, or lacks a part, or its flows share no grid,
            or it is to refine and cannot.
        UsageError: If it has not seen these modalities of one anatomy.
    """
    modalities = tuple(sorted(kind.modality for kind in config.kinds))
    loaded = load_flows(config.model, modalities, config.device)
    loaded.check_anatomy()
    if config.refine:
        for modality in modalities:
            load_refiner(config.model, modality, loaded.device)
    return loaded


def understood(text: str, config: GenerateConfig) -> Prompt:
    """Read a prompt as the model will.

    Of an instruction, what it says besides its references.

    Raises:
        UsageError: If it is empty and need not be, `strict` and part of it would be lost, it is
            about another anatomy than all that is to be made of one patient, or its marks and
            references do not fit.
    """
    instruction = Instruction.parse(text, config.references)
    text = worded(instruction).said
    is_shown = config.is_told_images or bool(instruction.references)
    if not text.strip() and not (config.unconditional or is_shown):
        raise UsageError("the prompt is empty; write --text, or ask for it with --unconditional")
    loaded = load_generator(config)
    prompt = read_prompt(
        text.strip(),
        load_phrases(),
        loaded.encoders.tokenizer,
        known=loaded.findings,
        max_tokens=loaded.encoders.aligner.text_encoder.config.max_tokens,
    )
    if config.strict and prompt.is_misread:
        raise UsageError(f"--strict: part of the prompt would be lost ({prompt.lost}); reword it")
    loaded.check_anatomy(prompt)
    return prompt


def said_of(prompt: Prompt, config: GenerateConfig) -> str:
    """What encoders read of a prompt: what was understood of it, or, if nothing was, itself.

    The flows of radiographs hear what is there the better, the less is said besides.
    """
    retold = prompt.there if all(map(is_flat, config.kinds)) else prompt.retold
    return (retold if config.retell else "") or prompt.text


def generate(
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
    indices: Sequence[int] | None = None,
    references: Sequence[Pointed] = (),
) -> Iterator[Sample]:
    """Make images that a prompt and images describe.

    Several modalities are walked at one time, and their flows listen to each other.

    Args:
        prompt: From `understood`.
        sources: Images to be told of, one for each of the config's.
        config: How many, and how.
        indices: Of the samples that are made; all of them if not given.
        references: Of the instruction, from `read_references`.

    Yields:
        The samples in their order; sample k depends on the seed and k alone.

    Raises:
        InputError: If nobody says what a source is.
        UsageError: If the best is asked for where nothing can be compared, or the spacing is none
            that the model makes.
        ModelError: If the model has no encoder of a source's modality, or reads no references.
        OutOfRangeError: If an image given is unlike those of training, and nobody forces it.
        MedgenError: If the model answers with NaN.

    Example:
        Ten radiographs of a prompt::

            config = GenerateConfig(number=10)
            for sample in generate(understood("Large left effusion.", config), [], config):
                files.write(sample.image, Path(f"{sample.index}.png"), provenance=...)

    Source: several at once is Tang et al. 2023, section 3.4 (arXiv:2305.11846), and Zhan et al.
    2024, section 3.3 (arXiv:2403.04290).
    """
    loaded = load_generator(config)
    check_given(prompt, sources, references, loaded, config)
    if config.best_of > 1 and not (prompt.text and _compared(loaded, config)):
        kinds = " or ".join(map(str, config.kinds))
        raise UsageError(f"--best-of: needs a text, and an encoder of {kinds} that compares")
    told = _told(prompt, sources, config, loaded)
    spacing = loaded.spacing(prompt, config.spacing, sources)
    if spacing and config.refine:
        _check_refined(config, spacing, loaded.device)
    voxel = spacing / 2 if spacing and config.refine else spacing
    chosen = range(config.number) if indices is None else indices
    numbers = [(index, candidate) for index in chosen for candidate in range(config.best_of)]
    best: dict[int, Sample] = {}
    for start in range(0, len(numbers), config.together):
        part = numbers[start : start + config.together]
        remedy = "--set together=1 makes one image at a time, --device cpu needs no GPU's"
        with flushed_denormals(), enough_memory(remedy):
            decoded = _decoded(loaded, told, spacing, part, config, references)
            if config.refine:
                decoded = {
                    kind: _fine(low, kind, loaded, prompt, part, config)
                    for kind, low in decoded.items()
                }
        for at, (index, candidate) in enumerate(part):
            images = tuple(image_of(decoded[kind][at], kind, voxel) for kind in config.kinds)
            agreement = _agreement(loaded, prompt, images, config)
            one = Sample(index, images, agreement, () if agreement is None else (agreement,))
            best[index] = _better(best.get(index), one)
            if candidate == config.best_of - 1:
                yield best.pop(index)


def _fine(
    low: Float[Tensor, "batch 1 *space"],
    kind: Kind,
    loaded: Generator,
    prompt: Prompt,
    numbers: Sequence[tuple[int, int]],
    config: GenerateConfig,
) -> Float[Tensor, "batch 1 *fine"]:
    """What was decoded, at twice the resolution."""
    encoders = loaded.encoders
    text = said_of(prompt, config) if prompt.text else ""
    (said,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [text])
    seeds = [
        generator_for(~config.seed, CANDIDATES * index + candidate).initial_seed()
        for index, candidate in numbers
    ]
    refiner = load_refiner(config.model, kind.modality, loaded.device)
    embedding = said.embedding.expand(len(low), -1)
    return refined(low, embedding, refiner, steps=config.refine_steps, seeds=seeds).cpu()


def _check_refined(config: GenerateConfig, spacing: float, device: torch.device) -> None:
    """Raises UsageError where a refiner has learned details of another size."""
    for kind in config.kinds:
        fine = load_refiner(config.model, kind.modality, device).config.spacing
        if fine and abs(2 * fine - spacing) > 1e-3:
            raise UsageError(
                f"--refine: this model refines {kind} from {2 * fine:g} mm, not from {spacing:g}; "
                f"try --spacing {2 * fine:g}, or leave it out"
            )


def _compared(loaded: Generator, config: GenerateConfig) -> list[Modality]:
    """Of what is made, the modalities that can be compared with a text."""
    return [k.modality for k in config.kinds if k.modality in loaded.encoders.aligner.encoders]


def _better(one: Sample | None, other: Sample) -> Sample:
    if one is None:
        return other
    chosen = max(one, other, key=lambda sample: _rank(sample.agreement))
    return replace(chosen, candidates=one.candidates + other.candidates)


def _rank(agreement: Agreement | None) -> tuple[float, float]:
    return agreement.rank if agreement else (0.0, 0.0)


@torch.no_grad()
def _decoded(
    loaded: Generator,
    told: Mapping[Kind, Sequence[Told]],
    spacing: float | None,
    numbers: Sequence[tuple[int, int]],
    config: GenerateConfig,
    references: Sequence[Pointed],
) -> dict[Kind, Float[Tensor, "batch 1 *space"]]:
    """Walk a few latents of each kind from noise to clean, all at one time, and decode them."""
    voices = {
        str(kind.modality): voice_of(
            loaded,
            kind,
            [told[kind]] * len(numbers),
            Guidance(loaded.guidance(kind, config.guidance), config.rescale, config.interval),
            spacing=spacing,
            references=references,
            reference_guidance=config.reference_guidance,
        )
        for kind in config.kinds
    }
    layout = Layout({name: loaded.latent_shape(Modality(name)) for name in voices})
    generators = [
        generator_for(config.seed, CANDIDATES * index + candidate) for index, candidate in numbers
    ]
    noise = {
        name: draw_noise(generators, shape, loaded.device) for name, shape in layout.shapes.items()
    }
    process = loaded.flows[config.kinds[0].modality].process
    guide = loaded.guide if config.cross else CrossGuide({}, {})
    denoise = together(voices, guide, layout, process)
    sample: Callable[..., Iterator[Step]] = SAMPLERS[config.sampler]
    steps = sample(
        denoise,
        process,
        layout.joined(noise),
        _stops(config),
        generators=generators,
    )
    latents = layout.parted(last(steps))
    return {kind: loaded.decode(latents[str(kind.modality)], kind.modality) for kind in told}


def _stops(config: GenerateConfig) -> Stops:
    """Where the sampler stops: it is one step that finishes, where there are two or more."""
    finish = config.finishes if config.steps > 1 else 0.0
    even = uniform_stops(config.steps - (finish > 0))
    return finishing(shifted(even, config.shift), finish)


@torch.no_grad()
def _told(
    prompt: Prompt, sources: Sequence[MedicalImage], config: GenerateConfig, loaded: Generator
) -> dict[Kind, list[Told]]:
    """What the flow of each kind is told; of what it cannot read, where it lies."""
    encoders, said = loaded.encoders, []
    if prompt.text:
        text = said_of(prompt, config)
        said = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [text])
    shown = [
        told_image(image, encoders, loaded.device, weight=weight)
        for image, weight in zip(sources, config.weights_of(len(sources)), strict=True)
    ]
    heard = [one for one in shown if one.weight > 0]
    told = {}
    for kind in config.kinds:
        read = loaded.told(kind.modality)
        told[kind] = said + [one if one.source in read else one.shared for one in heard]
    return told


def _agreement(
    loaded: Generator, prompt: Prompt, images: Sequence[MedicalImage], config: GenerateConfig
) -> Agreement | None:
    """How well images agree with the prompt; None where nothing can be compared."""
    compared = _compared(loaded, config)
    if not prompt.text or not compared:
        return None
    seen = [
        (kind.modality, image)
        for kind, image in zip(config.kinds, images, strict=True)
        if kind.modality in compared
    ]
    text = said_of(prompt, config)
    return agreement_of(seen, text, prompt.findings, loaded.encoders, loaded.device)
