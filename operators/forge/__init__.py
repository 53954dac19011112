"""Forgeries made from genuine faces, each with the mask of what was changed. Same chance, same forgery.

A kind is a function from a face, and for some another person's face, to a changed picture. `forge` applies one and
holds what all of them promise: outside of its mask nothing changed, not by one level.

| kind | what is done | what it imitates |
| --- | --- | --- |
| self_blend | the face blended over itself, shifted, recoloured or resampled | any blending's seam (Shiohara 2022) |
| recolour | the face alone in another colour balance | colours that were not matched |
| soften | the face alone through a lower resolution | an autoencoder's output, enlarged |
| swap | another person's face, warped to the landmarks, colours matched | FaceSwap, Face X-ray |
| swap_seamless | the same, blended by Poisson's equation | swaps without a seam (Perez 2003) |
| eyes, mouth | one region of another person's face | partial edits, lip synchronisation |
| iris | both irises moved one way | a redirected gaze |
| cross_eyes | the irises moved against each other | eyes generated one by one |
| reenact | the face bent towards another person's expression and pose | Face2Face, warping reenactment |
| upsample | the face through a transposed convolution | the spectrum of generated faces (Durall 2020) |

Not here: what happens to genuine and forged pictures alike (`degrade.py`).
"""

from __future__ import annotations

from engines import ConfigError
from operators.arrays import Rng
from operators.forge.blend import swap, swap_region, swap_seamless
from operators.forge.face import Forgery, GenuineFace, Kind
from operators.forge.gaze import cross_eyes, iris
from operators.forge.own import recolour, reenact, self_blend, soften, upsample
from operators.forge.regions import eyes_mask, mouth_mask

__all__ = ["KINDS", "NEEDS_DONOR", "WHOLE_FACE", "Forgery", "GenuineFace", "forge"]

KINDS: dict[str, Kind] = {
    "self_blend": self_blend,
    "recolour": recolour,
    "soften": soften,
    "swap": swap,
    "swap_seamless": swap_seamless,
    "eyes": swap_region(eyes_mask),
    "mouth": swap_region(mouth_mask),
    "iris": iris,
    "cross_eyes": cross_eyes,
    "reenact": reenact,
    "upsample": upsample,
}
NEEDS_DONOR = frozenset({"swap", "swap_seamless", "eyes", "mouth", "reenact"})
WHOLE_FACE = ("swap", "swap_seamless")


def forge(kind: str, face: GenuineFace, rng: Rng, donor: GenuineFace | None = None) -> Forgery:
    """A forgery of that kind.

    Args:
        donor: another person's face at the same size, in much the same pose; for the kinds of `NEEDS_DONOR`.

    Raises:
        ConfigError: no such kind, or it needs a donor.
    """
    if kind not in KINDS:
        raise ConfigError(f"no kind of forgery {kind!r}; known: {', '.join(KINDS)}")
    if kind in NEEDS_DONOR and donor is None:
        raise ConfigError(f"forgeries of kind {kind!r} are made from two people's faces, got one; give a donor")
    return KINDS[kind](face, donor or face, rng)
