"""The styles that the leak bench compares: a new one is a line in `STYLES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import cv2
import numpy as np

from bench.hiding import Hide, clear, deface, ours
from operators.arrays import Array, Image
from operators.frame import Picture, to_bgr
from operators.reversible.proface_s.carriers import CarrierCodec, open_codec
from operators.stills import picture_of
from pipeline.training.export import networks
from pipeline.training.scoring import committed

COUNTS = (1, 4, 16, 64)
FAINT = 0.05
"""Of the positive control's Gaussian, in heights of the face: faint enough that much is left to be found."""
CARRIER_SCALE, CARRIER_PX = 1.4, 128

Making = Callable[[Path, int], Hide]
"""From a folder for files and a seed."""


@dataclass(frozen=True, slots=True)
class CoverStyle:
    """A way to hide faces, and how thoroughly it is attacked.

    Attributes:
        make: what hides; it is made in each process anew.
        described: of so many frames laid over one another, recognisers look and learn.
        pixels: of so many besides, pixels alone are tried.
        thorough: whether dlib looks as well, which takes most of the time of a run, and parrots by recognisers.
        default: what the product offers as it comes: `rank1_worst_default` is about these.
    """

    name: str
    make: Making
    described: tuple[int, ...] = (1,)
    pixels: tuple[int, ...] = ()
    thorough: bool = False
    default: bool = False

    @property
    def recognisers(self) -> tuple[str, ...]:
        """Which of them look."""
        return ("faceres", "dlib") if self.thorough else ("faceres",)

    @property
    def counts(self) -> tuple[int, ...]:
        """Of how many frames estimates are made.

        >>> CoverStyle("x", lambda folder, seed: clear, (64,), (1, 4)).counts
        (1, 4, 64)
        """
        return tuple(sorted({*self.described, *self.pixels}))

    @property
    def stretch(self) -> bool:
        """Whether the contrast of an estimate is stretched for recognisers: where something was hidden."""
        return self.name != "none"

    @property
    def digest(self) -> str:
        """Tells the code that makes it from what it was, as far as it stands here."""
        made = self.make.func if isinstance(self.make, partial) else self.make
        return blake2b(inspect.getsource(made).encode(), digest_size=4).hexdigest()


def _clear(_folder: Path, _seed: int) -> Hide:
    return clear


def _ours(style: str, folder: Path, seed: int) -> Hide:
    return ours(style, folder, seed)


def _deface(style: str, _folder: Path, _seed: int) -> Hide:
    return deface(style)


def faint(_folder: Path, _seed: int) -> Hide:
    """A blur that is too weak, in the box alone: what attackers must find much under, or they are weak themselves."""

    def hide(images: Sequence[Image], boxes: Sequence[Array], _: int) -> list[Picture]:
        shown = []
        for image, found in zip(images, boxes, strict=True):
            image = image.copy()
            for box in found:
                x1, y1, x2, y2 = _inside(box, 1.2, image)
                part = image[y1:y2, x1:x2]
                image[y1:y2, x1:x2] = cv2.GaussianBlur(part, (0, 0), FAINT * float(box[3] - box[1]))
            shown.append(picture_of(image))
        return shown

    return hide


def public_carrier(folder: Path, seed: int) -> Hide:
    """PRO-Face S: the carrier stands in the public video in place of our blur, which it looks like."""
    cover = ours("blur", folder, seed)
    files = networks(committed("reversible.proface_s", "small"))
    codec = open_codec(files["protect"], files["recover"], weights_private=True)

    def hide(images: Sequence[Image], boxes: Sequence[Array], number: int) -> list[Picture]:
        rng = np.random.default_rng((seed, number, 2))
        covered = cover(images, boxes, number)
        return [
            _with_carriers(image, to_bgr(picture), found, codec, rng)
            for image, picture, found in zip(images, covered, boxes, strict=True)
        ]

    return hide


def _with_carriers(
    image: Image, covered: Image, boxes: Array, codec: CarrierCodec, rng: np.random.Generator
) -> Picture:
    shown = covered.copy()
    for box in boxes:
        x1, y1, x2, y2 = _inside(box, CARRIER_SCALE, image)
        face, look = (_crop(each[y1:y2, x1:x2]) for each in (image, covered))
        signs = rng.choice(np.array([-1, 1], np.int8), (1, 1, CARRIER_PX, CARRIER_PX))
        carrier = codec.protect(face, look, signs).carriers[0].transpose(1, 2, 0)[..., ::-1]
        shown[y1:y2, x1:x2] = cv2.resize(np.ascontiguousarray(carrier), (x2 - x1, y2 - y1))
    return picture_of(shown)


def _crop(part: Image) -> Array:
    """`(1, 3, s, s)` RGB."""
    sized = cv2.resize(part, (CARRIER_PX, CARRIER_PX), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(sized[..., ::-1].transpose(2, 0, 1)[None])


def _inside(box: Array, scale: float, image: Image) -> tuple[int, int, int, int]:
    """A square around the box, `scale` times as high, as far as it lies in the picture."""
    middle, half = (box[:2] + box[2:]) / 2, scale * float(box[3] - box[1]) / 2
    low = np.clip(np.floor(middle - half), 0, None).astype(int)
    high = np.minimum(np.ceil(middle + half), image.shape[1::-1]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


STYLES = (
    CoverStyle("none", _clear, thorough=True),
    CoverStyle("faint blur", faint),
    CoverStyle("blur", partial(_ours, "blur"), (16,), COUNTS, thorough=True, default=True),
    CoverStyle("mosaic", partial(_ours, "mosaic"), (16,), COUNTS, thorough=True, default=True),
    CoverStyle("solid", partial(_ours, "solid"), (1,), (4,), default=True),
    CoverStyle("image", partial(_ours, "image"), (1,), (4,), default=True),
    CoverStyle("proface_s", public_carrier),
    CoverStyle("deface blur", partial(_deface, "blur")),
    CoverStyle("deface mosaic", partial(_deface, "mosaic")),
)
"""`none` and `faint blur` are controls: what attackers find there says how good they are. Solid covers and images are
the same whatever they hide, a carrier is our blur to the eye, and deface is there for comparison: at these only the
quick recogniser looks, and parrots are tried on pixels alone."""


def chosen(names: Sequence[str]) -> list[CoverStyle]:
    """The styles of these names, in the order of `STYLES`, with `none`, which all are compared with.

    Raises:
        SystemExit: one of the names is none.

    >>> [style.name for style in chosen(["solid"])]
    ['none', 'solid']
    """
    known = {style.name for style in STYLES}
    unknown = sorted({*names} - known - {"all"})
    if unknown:
        raise SystemExit(f"--style {unknown[0]}: expected all, or one of {', '.join(sorted(known))}")
    return [style for style in STYLES if "all" in names or style.name in ("none", *names)]
