"""How well PRO-Face S hides, gives back, and withstands: `python -m bench.bench_reversible`. People it has not learned
from, and strengths of the covers that it has not learned from either.

    look         the carrier against its cover
    right key    the recovered face: from the float carrier, from its 8 bits, and through each codec
    wrong keys   64 maps of other keys, among them keys with one other bit, and the map of zeros; mean and worst
    bare cover   the right map on a cover that carries nothing
    known pair   a map found from one known face, on other carriers: of other maps, and of the same map
    blind        faces restored from carriers alone by who has the weights, in two strengths; and from a lossy carrier
    floor        the cover itself against the face: what everybody sees

PSNR and SSIM are those of `operators/fidelity.py`; in brackets the middle 95 % over faces drawn with replacement. The
attacks look at the middle 64 pixels of some of the carriers. With dlib's recogniser also whether the same person is
seen. The figures of a report come onto the cards by `facewarden export RUN --figures REPORT`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.data import data_folder
from engines import ConfigError, Engine, open_engine
from operators import fidelity, metrics
from operators.arrays import Array
from operators.forge.codec import h264
from operators.forge.degrade import jpeg
from operators.metrics import Figure
from operators.reversible.proface_s import attacks
from operators.reversible.proface_s.attacks import QUICK, THOROUGH
from operators.reversible.proface_s.carriers import eight_bits
from operators.reversible.proface_s.keymap import KEY_BYTES, NONCE_BYTES, key_map
from operators.reversible.proface_s.model import ProFaceS
from operators.reversible.proface_s.obfuscators import OBFUSCATORS, STRENGTHS, Obfuscation, obfuscate
from operators.stills import decode_image, read_images
from pipeline.models.catalog import find_model
from pipeline.provenance import write_report
from pipeline.training.export import networks
from pipeline.training.scoring import committed

FACES, ATTACKED, KNOWN = 24, 8, 3
WRONG_KEYS, NEIGHBOURS = 64, 16
ATTACK_PX = 64
SAME = 0.6
"""dlib's own distance below which two descriptors are of one person."""
CHIP_PX = 150
LOSSLESS = ("png", "ffv1")


@dataclass(frozen=True, eq=False)
class HiddenFaces:
    """Faces, their covers and carriers `(n, 3, s, s)` uint8, their maps, and carriers that are not rounded."""

    faces: Array
    covers: Array
    maps: Array
    exact: Array
    carriers: Array

    @property
    def side(self) -> int:
        return int(self.faces.shape[-1])


def held_out(count: int, side: int, folder: Path) -> Array:
    """`(count, s, s, 3)` RGB faces of FairFace's validation split, spread over it."""
    images = read_images(folder / "faces_fairface" / "val-00.tar")
    names = sorted(name for name in images if name.endswith(".jpg"))
    chosen = [names[row] for row in np.linspace(0, len(names) - 1, count).astype(int)]
    found = [cv2.resize(decode_image(images[name]), (side, side), interpolation=cv2.INTER_AREA) for name in chosen]
    return np.stack(found)[..., ::-1].copy()


def trial(protect: Engine, pictures: Array, seed: int) -> HiddenFaces:
    """Each face under a style in turn, at one of its strengths that no training sees, by a key of its own."""
    covers = []
    for row, face in enumerate(pictures):
        style = OBFUSCATORS[row % len(OBFUSCATORS)]
        strength = STRENGTHS[style].held_out[row // len(OBFUSCATORS) % 2]
        covers.append(obfuscate(face, Obfuscation(style, strength, seed + row)))
    faces, hidden = (np.ascontiguousarray(each.transpose(0, 3, 1, 2)) for each in (pictures, np.stack(covers)))
    rng = np.random.default_rng(seed)
    maps = np.stack([map_of(rng.bytes(KEY_BYTES), row, pictures.shape[1]) for row in range(len(faces))])
    exact = protect(face=signed(faces), cover=signed(hidden), key_map=maps.astype(np.float32))["protected"]
    return HiddenFaces(faces, hidden, maps, exact, eight_bits(exact))


def map_of(key: bytes, row: int, side: int) -> Array:
    """The map of a key for the crop in that row."""
    return key_map(key, stream="bench", frame=row, track=1, nonce=bytes(NONCE_BYTES), side=side)


def neighbour(key: bytes, bit: int) -> bytes:
    """A key with one other bit.

    >>> neighbour(bytes(32), 9)[-2:].hex()
    '0200'
    """
    return (int.from_bytes(key, "big") ^ (1 << bit)).to_bytes(len(key), "big")


def signed(crops: Array) -> NDArray[np.float32]:
    return np.asarray(crops, np.float32) / np.float32(127.5) - 1


def db(given: Array, wanted: Array) -> Array:
    """PSNR `(n,)` of crops `(n, 3, s, s)`, of bytes or of floats in -1..1."""
    return fidelity.psnr(*(shown(each) for each in (given, wanted)))


def shown(crops: Array) -> Array:
    """As pictures `(n, h, w, 3)` that `fidelity` takes."""
    whole = crops if crops.dtype == np.uint8 else (np.asarray(crops, np.float64) + 1) / 2
    return np.asarray(whole).transpose(0, 2, 3, 1)


def recovered(recover: Engine, carriers: Array, maps: Array) -> Array:
    given = carriers if carriers.dtype != np.uint8 else signed(carriers)
    return np.asarray(recover(protected=np.asarray(given, np.float32), key_map=maps.astype(np.float32))["recovered"])


# -- codecs ----------------------------------------------------------------------------------------


def through(codec: str, carriers: Array) -> Array:
    """Carriers `(n, 3, s, s)` uint8 after a codec: png, ffv1, h264_CRF or jpeg_QUALITY."""
    pictures = np.ascontiguousarray(carriers.transpose(0, 2, 3, 1))
    name, _, strength = codec.partition("_")
    if name == "png":
        coded = [cv2.imencode(".png", each[..., ::-1])[1] for each in pictures]
        back = np.stack([decode_image(each.tobytes())[..., ::-1] for each in coded])
    elif name == "ffv1":
        back = ffv1(pictures)
    elif name == "h264":
        back = np.concatenate([h264(each[None], int(strength)) for each in pictures])
    else:
        back = np.stack([jpeg(each, int(strength)) for each in pictures])
    return np.ascontiguousarray(back.transpose(0, 3, 1, 2))


def ffv1(pictures: Array) -> Array:
    """Through FFV1 in RGB."""
    encoder = av.CodecContext.create("ffv1", "w")
    encoder.width, encoder.height, encoder.pix_fmt = pictures.shape[2], pictures.shape[1], "bgr0"
    encoder.time_base = Fraction(1, 25)
    packets = []
    for number, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="bgr0")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("ffv1", "r")
    decoder.width, decoder.height, decoder.pix_fmt = encoder.width, encoder.height, "bgr0"
    decoder.extradata = encoder.extradata
    frames = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


CODECS = ("png", "ffv1", "h264_18", "h264_23", "jpeg_95")


# -- what is measured ------------------------------------------------------------------------------


def keys(recover: Engine, made: HiddenFaces, seed: int) -> dict[str, Array]:
    """Right and wrong keys, in dB against the face: `(n,)` each."""
    rng = np.random.default_rng(seed)
    own = [rng.bytes(KEY_BYTES) for _ in made.faces]  # those of `trial`
    others = [[neighbour(key, int(rng.integers(8 * KEY_BYTES))) for key in own] for _ in range(NEIGHBOURS)]
    others += [[rng.bytes(KEY_BYTES) for _ in own] for _ in range(WRONG_KEYS - NEIGHBOURS)]
    found, alike = [], []
    for wrong in others:
        maps = np.stack([map_of(key, row, made.side) for row, key in enumerate(wrong)])
        given = recovered(recover, made.carriers, maps)
        found.append(db(given, signed(made.faces)))
        alike.append(fidelity.patch_correlation(shown(given), shown(made.faces), 0.95))
    table = np.stack(found)
    right = recovered(recover, made.carriers, made.maps)
    return {
        "psnr_float": db(recovered(recover, made.exact, made.maps), signed(made.faces)),
        "psnr": db(right, signed(made.faces)),
        "ssim": fidelity.ssim(shown(right), shown(made.faces)),
        "wrong_psnr": table.mean(axis=0),
        "wrong_psnr_worst": table.max(axis=0),
        "wrong_correlation_worst": np.max(alike, axis=0),
        "neighbour_psnr_worst": table[:NEIGHBOURS].max(axis=0),
        "zero_map_psnr": db(recovered(recover, made.carriers, np.zeros_like(made.maps)), signed(made.faces)),
        "bare_cover_psnr": db(recovered(recover, made.covers, made.maps), signed(made.faces)),
    }


def looks(made: HiddenFaces) -> dict[str, Array]:
    """The carrier against its cover, and the cover against the face."""
    return {
        "cover_psnr": db(made.carriers, made.covers),
        "cover_ssim": fidelity.ssim(shown(made.carriers), shown(made.covers)),
        "floor_psnr": db(made.covers, made.faces),
        "floor_ssim": fidelity.ssim(shown(made.covers), shown(made.faces)),
    }


def codecs(recover: Engine, made: HiddenFaces) -> dict[str, Array]:
    return {
        f"{codec}_psnr": db(recovered(recover, through(codec, made.carriers), made.maps), signed(made.faces))
        for codec in CODECS
    }


def attacked(
    file: Path, protect: Engine, made: HiddenFaces, count: int, seed: int, *, thorough: bool
) -> dict[str, Array]:
    """What is restored without a key by who has the weights, in dB against the face: on the middle of the crops."""
    network = attacks.network_of(file)
    count = min(count, len(made.faces))
    start = (made.side - ATTACK_PX) // 4 * 2

    def middle(crops: Array) -> torch.Tensor:
        part = crops[:count, :, start : start + ATTACK_PX, start : start + ATTACK_PX]
        return torch.from_numpy(signed(part) if part.dtype == np.uint8 else np.asarray(part, np.float32))

    carriers, faces = middle(made.carriers), middle(made.faces)
    lossy = middle(through("h264_23", made.carriers[:count]))
    found = {
        "attack_floor_psnr": db(made_middle(made.covers, start, count), made_middle(made.faces, start, count)),
        "blind_psnr": db(attacks.blind(network, carriers, QUICK, seed=seed).numpy(), faces.numpy()),
        "blind_lossy_psnr": db(attacks.blind(network, lossy, QUICK, seed=seed).numpy(), faces.numpy()),
    }
    if thorough:
        found["blind_psnr_thorough"] = db(attacks.blind(network, carriers, THOROUGH, seed=seed).numpy(), faces.numpy())
    same = np.repeat(made.maps[:1], len(made.maps), axis=0)
    reused = protect(face=signed(made.faces), cover=signed(made.covers), key_map=same.astype(np.float32))["protected"]
    on_others, on_same = [], []
    for known in range(min(KNOWN, count - 1)):
        rest = np.arange(count) != known
        own = attacks.known_pair(network, carriers[known][None], faces[known][None], QUICK, seed=seed)
        on_others.append(_opened(network, carriers, own, faces)[rest].mean())
        again = middle(eight_bits(reused))
        own = attacks.known_pair(network, again[known][None], faces[known][None], QUICK, seed=seed)
        on_same.append(_opened(network, again, own, faces)[rest].mean())
    return {**found, "known_pair_psnr": np.array(on_others), "known_pair_same_map_psnr": np.array(on_same)}


def made_middle(crops: Array, start: int, count: int) -> Array:
    return crops[:count, :, start : start + ATTACK_PX, start : start + ATTACK_PX]


def _opened(network: ProFaceS, carriers: torch.Tensor, one_map: torch.Tensor, faces: torch.Tensor) -> Array:
    with torch.no_grad():
        given, _ = network.recover(carriers, one_map.expand(len(carriers), -1, -1, -1))
    return db(given.clamp(-1, 1).numpy(), faces.numpy())


def seen(recover: Engine, made: HiddenFaces, count: int, seed: int) -> dict[str, Array]:
    """dlib's opinion: cosine of descriptors with the clear face's, and whether it takes both for one person."""
    try:
        from bench.leak_attackers import describe

        find_model("face_descriptor")
    except (ConfigError, ModuleNotFoundError):
        return {}
    count = min(count, len(made.faces))
    wrong = np.stack([map_of(np.random.default_rng(seed + 1).bytes(KEY_BYTES), row, made.side) for row in range(count)])
    shows = {
        "clear": made.faces[:count],
        "right": eight_bits(recovered(recover, made.carriers[:count], made.maps[:count])),
        "wrong": eight_bits(recovered(recover, made.carriers[:count], wrong)),
        "cover": made.covers[:count],
        "carrier": made.carriers[:count],
    }
    numbers = {
        name: describe([cv2.resize(each, (CHIP_PX, CHIP_PX)) for each in shown(crops)]) for name, crops in shows.items()
    }
    clear, found = numbers.pop("clear"), {}
    for name, those in numbers.items():
        cosine = (clear * those).sum(axis=1) / np.linalg.norm(clear, axis=1) / np.linalg.norm(those, axis=1)
        found[f"cos_{name}"] = cosine
        found[f"same_{name}"] = (np.linalg.norm(clear - those, axis=1) < SAME).astype(float)
    return found


def mean_of(values: Array, seed: int = 0) -> Figure:
    """The mean with its interval over faces.

    >>> str(mean_of(np.array([2.0, 2.0])))
    '2.000 [2.000, 2.000]'
    """
    return metrics.interval(
        lambda _, scores: float(np.mean(scores)), np.zeros(len(values)), values, np.arange(len(values)), seed=seed
    )


def figures_of(measured: Mapping[str, Array], seed: int = 0) -> dict[str, float]:
    """Means by name, with the ends of their intervals as `<name>_low` and `<name>_high`; of worst ones the highest."""
    found: dict[str, float] = {}
    for name, values in measured.items():
        figure = mean_of(values, seed)
        found |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        if name.endswith("_worst"):
            found[f"{name}_of_all"] = float(values.max())
    return found


def print_table(measured: Mapping[str, Array], seed: int) -> None:
    table = Table("figure", "mean", "95 %", "worst face", title="PRO-Face S on people and strengths not learned from")
    for name, values in measured.items():
        figure = mean_of(values, seed)
        up = name.startswith(("wrong", "neighbour", "zero", "bare", "blind", "known"))
        worst = values.max() if up else values.min()
        table.add_row(name, f"{figure.value:.2f}", f"{figure.low:.2f} .. {figure.high:.2f}", f"{worst:.2f}")
    Console().print(table)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="a run's folder and variant, as RUN/small")
    parser.add_argument("--faces", type=int, default=FACES)
    parser.add_argument("--attacked", type=int, default=ATTACKED, help="of them, by who has the weights")
    parser.add_argument("--quick", action="store_true", help="without the thorough blind attack")
    chosen = parser.parse_args(given)
    files = networks(chosen.model or committed("reversible.proface_s", "small"))
    protect, recover = open_engine(files["protect"]), open_engine(files["recover"])
    side = int(protect.inputs["face"].shape[-1] or 0)
    made = trial(protect, held_out(chosen.faces, side, data_folder()), chosen.seed)
    measured = {**looks(made), **keys(recover, made, chosen.seed), **codecs(recover, made)}
    measured |= seen(recover, made, chosen.faces, chosen.seed)
    measured |= attacked(files["recover"], protect, made, chosen.attacked, chosen.seed, thorough=not chosen.quick)
    print_table(measured, chosen.seed)
    rows = [{"figure": name, "values": np.round(values, 4).tolist()} for name, values in measured.items()]
    write_report(
        chosen.json,
        {"faces": len(made.faces), "attacked": chosen.attacked, **figures_of(measured, chosen.seed)},
        rows,
        chosen.seed,
        code=("operators/reversible/proface_s", "operators/fidelity.py"),
    )


if __name__ == "__main__":
    main()
