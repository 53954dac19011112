"""PyTorch on one thread: several wait for each other, on a busy machine for longer than these networks run."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
