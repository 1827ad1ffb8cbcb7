"""Radiographs: what a tube and a detector make of a CT, and how it is shown."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.phantom.attenuation import Spectrum, densities, transmission, tube
from medgen.phantom.projection import Beam, View, fitting_detector, project, seen_along
from medgen.phantom.resolution import FWHM_PER_SIGMA, gaussian_kernel

Volume = Float[Tensor, "i j k"]
Image = Float[Tensor, "rows columns"]
STRUCTURE_MM = 12.5
STRUCTURE_FALL = 0.42  # power of the frequency with which the amplitude of finer structure falls
DARKEST = 1e-6  # of the open beam: what a detector still tells from nothing


@dataclass(frozen=True)
class Exposure:
    """How a radiograph is taken.

    Attributes:
        view: `pa`, `ap` or `lateral`.
        pixel_mm: Side of a detector's pixel.
        kilovolts: Peak voltage of the tube.
        aluminium_mm: Its filtration.
        source_mm: Distance of its focus from the detector.
        gap_mm: Distance of the detector from the scanned volume.
        scatter: How much of the forward scatter reaches the detector through its grid.
        scatter_mm: How far it spreads, standard deviation.
        photons: Counted behind nothing, per mm² of the detector; None leaves the noise out. An
            entrance dose of 0.1 mGy is about 3 million, of which a grid and a detector lose most.
        structure: Of what is too fine for a CT, as small vessels and the grain of bone: standard
            deviation of the logarithm of the signal.
    """

    view: View = "pa"
    pixel_mm: float = 1.0
    kilovolts: float = 120.0
    aluminium_mm: float = 3.0
    source_mm: float = 1800.0
    gap_mm: float = 30.0
    scatter: float = 0.15
    scatter_mm: float = 40.0
    photons: float | None = 1e6
    structure: float = 0.0


def take(
    hu: Volume,
    spacing: tuple[float, float, float],
    exposure: Exposure,
    *,
    generator: Generator | None = None,
    spectrum: Spectrum | None = None,
) -> Image:
    """Expose a patient.

    Args:
        hu: A CT with axes Right, Anterior, Superior; vacuum beyond it.
        spacing: Along those, mm.
        exposure: Tube, detector, scatter and noise.
        generator: Source of noise and structure; needed where there is some.
        spectrum: Instead of the tube's.

    Returns:
        The detector's signal as a share of the open beam's, seen as `seen_along` says.

    Raises:
        ValueError: If there is something to draw and no generator.
    """
    if generator is None and (exposure.photons is not None or exposure.structure):
        raise ValueError("a radiograph with noise draws it; give it a generator")
    beam = Beam(exposure.view, exposure.source_mm, exposure.gap_mm)
    volume, turned = seen_along(hu, spacing, exposure.view)
    depth, rows, columns = volume.shape
    detector = fitting_detector((depth, rows, columns), turned, beam, exposure.pixel_mm)
    primary = transmission(
        project(volume, turned, beam, detector, quantities=densities) / 10,  # g/cm²
        spectrum or tube(exposure.kilovolts, exposure.aluminium_mm),
    )
    if exposure.structure and generator is not None:
        i, j = primary.shape
        grain = structure((i, j), exposure.pixel_mm, generator).to(primary)
        primary = primary * (-exposure.structure * grain).exp()
    signal = primary + exposure.scatter * forward_scatter(
        primary, exposure.scatter_mm / exposure.pixel_mm
    )
    if exposure.photons is not None and generator is not None:
        counted = exposure.photons * exposure.pixel_mm**2
        noise = torch.randn(signal.shape, generator=generator).to(signal)
        signal = signal + (signal / counted).sqrt() * noise
    return signal.clamp(min=DARKEST)


def structure(
    size: tuple[int, int], pixel_mm: float, generator: Generator
) -> Float[Tensor, "rows columns"]:
    """Random shadows of unit variance, most of them about as long as `STRUCTURE_MM`.

    The amplitude rises with the frequency up to there, and falls slowly beyond.
    """
    rows, columns = size
    down, across = torch.fft.fftfreq(rows, pixel_mm), torch.fft.rfftfreq(columns, pixel_mm)
    frequency = torch.hypot(down[:, None], across) * STRUCTURE_MM
    amplitude = frequency.clamp(max=1) / (1 + frequency.square()) ** (STRUCTURE_FALL / 2)
    noise = torch.fft.rfft2(torch.randn(size, generator=generator))
    shadows = torch.fft.irfft2(noise * amplitude, size)
    return shadows / shadows.std()


def forward_scatter(primary: Image, width: float) -> Image:
    """What is scattered once, nearly straight on, and spreads from there.

    Source: Ohnesorge et al. 1999 (10.1007/s003300050710): in proportion to the attenuation times
    what it leaves, convolved with a broad kernel.

    Args:
        primary: Share of the open beam that arrives unscattered.
        width: Standard deviation of a Gaussian kernel, pixels.
    """
    source = -primary * primary.clamp(min=DARKEST).log()
    return blurred(source, width)


def blurred(image: Image, width: float) -> Image:
    """Convolve with a Gaussian of this standard deviation, pixels; nothing beyond the image."""
    if not width:
        return image
    kernel = gaussian_kernel(FWHM_PER_SIGMA * width).to(image)
    return _convolved(_convolved(image, kernel).mT, kernel).mT


def _convolved(image: Image, kernel: Float[Tensor, "n"]) -> Image:
    """Every row with a kernel, by Fourier transform: scatter's kernel is as long as the row."""
    columns, reach = image.shape[1], len(kernel) // 2
    length = columns + len(kernel) - 1
    product = torch.fft.rfft(image, length) * torch.fft.rfft(kernel, length)
    return torch.fft.irfft(product, length)[:, reach : reach + columns]


@dataclass(frozen=True)
class Display:
    """How a workstation shows a radiograph.

    Attributes:
        contrast: Steepness of the display's curve; 1 spans the patient's 2nd to 98th percentile.
        detail: How much stronger fine structures are shown than coarse ones: unsharp masking.
        detail_mm: What is fine: the standard deviation of the Gaussian that takes it off.
        edge: The same for the finest structures, after that.
        edge_mm: What is finest.
    """

    contrast: float = 1.0
    detail: float = 0.0
    detail_mm: float = 12.0
    edge: float = 0.0
    edge_mm: float = 1.5


PLAIN = Display()


def displayed(signal: Image, display: Display = PLAIN, *, pixel_mm: float = 1.0) -> Image:
    """The picture that a reader sees: bright where little arrives, in [0, 1].

    The logarithm of the signal through the S of a film's characteristic curve, placed so that
    nearly all of the patient is told apart.

    Args:
        signal: Share of the open beam.
        display: Contrast and detail.
        pixel_mm: Side of a pixel.
    """
    depth = -signal.log()
    for gain, width in ((display.detail, display.detail_mm), (display.edge, display.edge_mm)):
        if gain:
            depth = depth + gain * (depth - _coarse(depth, width / pixel_mm))
    patient = depth[depth > 0.1 * depth.amax()]  # else open beam would set the window
    if not len(patient):
        return torch.zeros_like(signal)
    low, high = torch.quantile(_some(patient), torch.tensor([0.02, 0.98]).to(patient))
    middle, width = (low + high) / 2, (high - low).clamp(min=1e-3) / display.contrast
    return torch.sigmoid(5 * (depth - middle) / width)


def _coarse(image: Image, width: float) -> Image:
    """What a Gaussian leaves of an image; at its edges it is weighed by what there is."""
    return blurred(image, width) / blurred(torch.ones_like(image), width)


def _some(values: Float[Tensor, "n"]) -> Float[Tensor, "m"]:
    """At most a million of the values, evenly spread: `torch.quantile` takes no more than 16."""
    return values[:: max(1, len(values) // 1_000_000)]
