"""ACMF: a detector of forged faces that is kept from leaning on fragile high frequencies.

D. Liu, T. Chen, C. Peng, N. Wang, R. Hu, X. Gao, "Attention Consistency Refined Masked Frequency Forgery
Representation for Generalizing Face Forgery Detection", arXiv:2307.11438 (2023), IEEE TIFS 2024.

Fine detail is what forgers' tools differ in most, so while training it is knocked out at random: what is learned has to
hold without it. A second, short training makes the network look at the same parts with and without it: its Grad-CAM
must agree with a frozen copy's. As published that second step adapts to every unlabelled test video; that is an
offline job here, and its scores are named `video_tta`.
"""
