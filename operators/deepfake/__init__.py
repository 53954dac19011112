"""Detectors of forged faces, and what they share: their words (`scores`), when they keep silent (`quality`), the heat
map of what they looked at (`heatmap`), and networks that several systems are built on (`model`).

In every score, label and file fake = 1 and genuine = 0, whatever a paper's code does.
"""
