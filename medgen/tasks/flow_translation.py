"""MedM2G's own translation: the flow of the target is walked, and hears the image that is known."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from medgen.crossguide.flows import Known, Layout, together
from medgen.data.resample import Grid, resample
from medgen.data.standard import body_voxels
from medgen.diffusion.guidance import Guidance
from medgen.diffusion.noise import draw_noise, generator_for
from medgen.diffusion.sampler import last, sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.errors import ModelError
from medgen.io.geometry import lie_inside
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU, Kind, Modality
from medgen.tasks.codecs.images import grid_of_whole, on_grid
from medgen.tasks.flows.conditions import Told, told_image
from medgen.tasks.generating.generator import Generator, voice_of
from medgen.tasks.translator.translation import beyond_padding, unit_of

WHOLE = 0.99  # share of the body that lies in what the flow sees; less is told


@dataclass(frozen=True)
class FlowTranslated:
    """A translation on the source's grid.

    Attributes:
        voxels: HU, or an MRI whose 99th percentile is about 1000; air, or 0, where the flow sees
            nothing.
        seen: Share of the body that lies in what the flow sees.
        is_paired: Whether the flow was trained to hear the source's.
    """

    voxels: Float[np.ndarray, "i j k"]
    seen: float
    is_paired: bool


@torch.inference_mode()
def translate_by_flows(
    image: MedicalImage, to: Kind, loaded: Generator, *, steps: int, seed: int
) -> FlowTranslated:
    """Make another modality of a volume, on its grid.

    The volume's latent, noised to each time, is what the target's flow hears of it; besides, the
    flow is told what the encoder of its modality says.

    Args:
        image: CT or MRI; with its kind.
        to: What to make, of another modality.
        loaded: The flows of both.
        steps: Of the sampler.
        seed: Of all noise.

    Raises:
        ModelError: If the target's flow cannot hear the source's, or the model answers with NaN.

    Source: Zhan et al. 2024, section 3.3 (arXiv:2403.04290).
    """
    source = image.kind.modality if image.kind else Modality.MRI
    hears = loaded.hears(to.modality)
    if str(source) not in hears:
        raise ModelError(
            f"{loaded.card.name}: its flow of {to.modality} never learned to hear {source}; "
            "train it: --round ct-mri"
        )
    shown, unknown = beyond_padding(image)
    grid = _grid(image, source, loaded)
    codec = loaded.codecs[source].codec
    clean = codec.encode(on_grid(shown, source, grid)[None].float().to(loaded.device))
    generator = generator_for(seed, 0)
    noise = draw_noise([generator], loaded.latent_shape(to.modality), loaded.device)
    known = Known(clean, draw_noise([generator], clean.shape[1:], loaded.device))
    name, process = str(to.modality), loaded.flows[to.modality].process
    told = _told(shown, source, to, loaded)
    voice = voice_of(loaded, to, [told], Guidance(), spacing=grid.geometry.spacing[0])
    layout = Layout({name: loaded.latent_shape(to.modality)})
    denoise = together({name: voice}, loaded.guide, layout, process, {str(source): known})
    start, stops = layout.joined({name: noise}), uniform_stops(steps)
    walked = layout.parted(last(sample_dpm_solver(denoise, process, start, stops)))
    decoded = loaded.decode(walked[name], to.modality)[0, 0]
    own = Grid(image.voxels.shape, image.geometry)
    fill = AIR_HU if to.modality is Modality.CT else 0.0
    voxels = resample(unit_of(to).denormalise(decoded.numpy()), grid.geometry, own, fill=fill)
    voxels[unknown] = fill
    return FlowTranslated(voxels, _seen(image, source, grid), hears[str(source)])


def _grid(image: MedicalImage, source: Modality, loaded: Generator) -> Grid:
    """Where the flows see a volume."""
    return grid_of_whole(image, source, loaded.view(source))


def _told(image: MedicalImage, source: Modality, to: Kind, loaded: Generator) -> list[Told]:
    """What the flow is told besides; nothing, where the model has no encoder of the source."""
    if source not in loaded.encoders.aligner.encoders:
        return []
    one = told_image(image, loaded.encoders, loaded.device)
    return [one if source in loaded.told(to.modality) else one.shared]


def _seen(image: MedicalImage, source: Modality, grid: Grid) -> float:
    """Share of the body that lies in a grid."""
    body = np.argwhere(body_voxels(image.voxels, source))[::7]
    if not len(body):
        return 1.0
    return float(lie_inside(image.geometry.index_in(grid.geometry, body), grid.shape).mean())
