"""What the file beside a generated image says: how it was made, of what, and what was lost."""

from collections.abc import Sequence

from medgen.instruct.instruction import Instruction
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import FACTS, Kind
from medgen.tasks.flows.prompt import Prompt, in_words
from medgen.tasks.generate import Sample, load_generator, said_of
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.instructing.references import Pointed


def provenance_of(config: GenerateConfig) -> Provenance:
    """What the writers say about how an image was generated."""
    card = load_generator(config).card
    return Provenance("generate", card.name, card.digest, config.seed, config.steps)


def details_of(
    sample: Sample,
    kind: Kind,
    image: MedicalImage,
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    return {
        "Kind": str(kind),
        "Unit": FACTS[kind.modality].unit,
        "Prompt": prompt.text,
        "Told": said_of(prompt, config),
        "Understood": [in_words(one) for one in prompt.findings],
        "NeverTrainedOn": list(prompt.ignored),
        "WordsNeverRead": list(prompt.unseen),
        "DoesNotFit": prompt.cut,
        "Sources": [
            {
                "Kind": str(source.kind),
                "SHA256": source.source.sha256 if source.source else "",
                "Weight": weight,
            }
            for source, weight in zip(sources, config.weights_of(len(sources)), strict=True)
        ],
        "Sample": sample.index,
        **_spacing(image),
        "Sampler": config.sampler,
        "Shift": config.shift,
        "Finish": config.finishes,
        "Guidance": _guidance(kind, prompt, config),
        "Rescale": config.rescale,
        "Interval": list(config.interval),
        **({"RefineSteps": config.refine_steps} if config.refine else {}),
        **_agreement(sample),
        **_company(kind, sources, config),
    }


def shown_of(
    instruction: Instruction, references: Sequence[Pointed], config: GenerateConfig
) -> dict[str, object]:
    """What the sidecar says of references; names no file."""
    if not references:
        return {}
    listed = [
        {
            "Mark": one.number,
            "Role": str(one.role),
            "Caption": one.caption,
            "Kind": str(one.image.kind or "label map or mask"),
            "SHA256": one.image.source.sha256 if one.image.source else "",
        }
        for one in references
    ]
    return {
        "Instruction": instruction.text,
        "References": listed,
        "ReferenceGuidance": config.reference_guidance,
    }


def _agreement(sample: Sample) -> dict[str, object]:
    """How well it agrees with the prompt, and all that it was chosen from."""
    one = sample.agreement
    return {
        "Agreement": one and one.cosine,
        "LogLikelihood": one and one.likelihood,
        "AgreementOfCandidates": [each.cosine for each in sample.candidates],
        "LogLikelihoodOfCandidates": [each.likelihood for each in sample.candidates],
    }


def _guidance(kind: Kind, prompt: Prompt, config: GenerateConfig) -> float:
    """How hard it was pushed: not at all, which is 1, where there is nothing to push towards."""
    is_told = bool(prompt.text) or config.is_told_images
    is_shown = bool(config.references) and config.reference_guidance is None
    return load_generator(config).guidance(kind, config.guidance) if is_told or is_shown else 1.0


def _spacing(image: MedicalImage) -> dict[str, object]:
    return {"SpacingMm": image.geometry.spacing[0]} if image.spacing_is_known else {}


def _company(
    kind: Kind, sources: Sequence[MedicalImage], config: GenerateConfig
) -> dict[str, object]:
    """With what an image was made, whom its flow heard, and what it was never trained with."""
    loaded = load_generator(config)
    given = {str(image.kind.modality) for image in sources if image.kind}
    odd = given - loaded.told(kind.modality)
    others = [str(one) for one in config.kinds if one != kind]
    if not others:
        return {"UnpairedPath": sorted(odd)} if odd else {}
    heard = loaded.hears(kind.modality) if config.cross else {}
    odd |= {name for name, is_whole in heard.items() if not is_whole}
    company: dict[str, object] = {"MadeWith": others, "CrossGuidance": sorted(heard)}
    return company | ({"UnpairedPath": sorted(odd)} if odd else {})
