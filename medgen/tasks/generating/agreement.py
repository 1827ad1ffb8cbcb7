"""How well a made image agrees with its prompt: in the shared space, and finding by finding."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from medgen.data.standard import standard_view
from medgen.encoders.claims import ClaimEncoder
from medgen.encoders.finder import Found
from medgen.finding import Finding
from medgen.io.image import MedicalImage
from medgen.modality import Modality
from medgen.tasks.aligning.model import LoadedAligner
from medgen.tasks.facts import UNKNOWN, Answers, answers_of, as_fact
from medgen.tasks.flows.conditions import told_texts


@dataclass(frozen=True)
class Agreement:
    """How well images of one patient agree with a prompt; means over those that can be compared.

    Attributes:
        cosine: Of their embeddings and the prompt's, -1 to 1.
        likelihood: Natural logarithm of how likely the answers are that the prompt gives to the
            claims of the encoders' finders, going by the images; 0 at most. None where the prompt
            states no finding that an encoder's finder knows.
    """

    cosine: float
    likelihood: float | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """The higher, the better: what the images show counts before how near they lie."""
        return (self.likelihood or 0.0, self.cosine)


@torch.no_grad()
def agreement_of(
    images: Sequence[tuple[Modality, MedicalImage]],
    text: str,
    findings: Sequence[Finding],
    encoders: LoadedAligner,
    device: torch.device,
) -> Agreement:
    """Compare images with a text, and with what it states.

    Args:
        images: At least one, each with its modality, of which there is an encoder.
        text: As the text encoder reads it.
        findings: What it states. As in a report, what it does not mention is not there.
        encoders: With the text encoder and those of the images.
        device: Where the encoders are.
    """
    (said,) = told_texts(encoders.aligner.text_encoder, encoders.tokenizer, [text])
    cosines, likelihoods = [], []
    for modality, image in images:
        encoder = encoders.encoder_of(modality)
        view = standard_view(image, modality, encoders.standard)[None].float().to(device)
        if isinstance(encoder, ClaimEncoder):
            found = encoder.found(view)
            seen = encoder.read(encoder.said(found))
            if _asks_about(encoder, findings):
                shape = encoder.finder.config
                facts = [as_fact(one) for one in findings]
                truth = answers_of(facts, shape.claims, shape.regions)
                likelihoods.append(float(log_likelihood(found, truth)[0]))
        else:
            seen = encoder(view)
        cosines.append(float(F.cosine_similarity(seen.embedding, said.embedding)[0]))
    likelihood = round(statistics.mean(likelihoods), 4) if likelihoods else None
    return Agreement(round(statistics.mean(cosines), 4), likelihood)


def _asks_about(encoder: ClaimEncoder, findings: Sequence[Finding]) -> bool:
    """Whether its finder knows any of these findings; if not, the images are of something else."""
    known = {claim.partition(":")[0] for claim in encoder.finder.config.claims}
    return any(one.name in known for one in findings)


def log_likelihood(found: Found, truth: Answers) -> Float[Tensor, "batch"]:
    """Natural logarithm of how likely these answers to all claims are; unknown ones count nothing.

    Args:
        found: What a finder answers of a batch of studies; log-odds as they are worth.
        truth: Of one study.
    """
    there = truth.there.to(found.odds)
    sign = (2 * there - 1).nan_to_num(0.0)
    total = (F.logsigmoid(sign * found.odds) * (sign != 0)).sum(1)
    for odds, right in ((found.severity, truth.severity), (found.region, truth.region)):
        told = torch.nonzero(right != UNKNOWN)[:, 0].tolist()
        for claim in told:
            total = total + odds[:, claim].log_softmax(-1)[:, int(right[claim])]
    return total
