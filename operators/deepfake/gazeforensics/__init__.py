"""GazeForensics: a detector of forged faces in short clips that has to know where the eyes look.

Q. He, C. Peng, D. Liu, N. Wang, X. Gao, "GazeForensics: DeepFake Detection via Gaze-guided Spatial Inconsistency
Learning", arXiv:2311.07075 (2023).

Each frame of a clip is encoded alone; most of its numbers are pulled towards those of a frozen gaze estimator, a few,
the leaky ones, are free. One layer of attention compares the frames, and a small head decides. The estimator is needed
for training only. The paper's was trained on Gaze360, which may not be passed on; ours learns from shifted irises and
the landmarker's geometry, so that what is reproduced here is the mechanism, not the paper's numbers.
"""
