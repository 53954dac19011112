"""Reversible anonymization: keys, what is sealed with them, and who gets it back.

A worker seals what a cover hides (`seal`), a sink writes seals beside the masked video (`container`), and whoever has
the master key and the keyring puts chosen faces back (`recovery`), which is written down (`journal`).
"""

from __future__ import annotations

from engines import FacewardenError


class RecoveryRefused(FacewardenError):
    """A key, a seal, a share or a log is not what is needed: no picture comes out, and the refusal is written down."""


class NotAuthentic(RecoveryRefused):
    """Something was changed since whoever has the key made it, or the key is another one: which, nobody can tell."""
