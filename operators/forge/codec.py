"""Pictures through H.264 and back, as the compressed versions of FaceForensics++ were made: c23 is CRF 23, c40 CRF 40.

Only pictures of our own are decoded here; what comes from outside is opened in `pipeline.media`.
"""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np

from operators.forge.face import Pixels


def h264(frames: Pixels, crf: int, *, intra: bool = True) -> Pixels:
    """Frames `(n, h, w, 3)` uint8 RGB as they come out of an encoder and a decoder, at 4:2:0.

    Args:
        crf: 0 to 51; higher is worse.
        intra: each frame stands for itself, as stills do; else they are one clip, and predict each other.
    """
    count, height, width = frames.shape[:3]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), "preset": "veryfast", "bf": "0", **({"g": "1"} if intra else {})}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, pixels in enumerate(frames):
        even = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(even, "rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    pictures = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.decode(None)
    decoded = [picture.to_ndarray(format="rgb24")[:height, :width] for picture in pictures]
    return np.asarray(decoded, np.uint8).reshape(count, height, width, 3)
