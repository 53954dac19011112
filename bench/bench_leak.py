"""Who is still recognised under a cover: `python -m bench.bench_leak`. Re-identification on LFW, ours beside deface.

A probe is a covered picture of somebody of whom the gallery holds one other picture; rank-1 is the share of probes
whose nearest in the gallery is the same person. The attacker is given a lot: where the face is and how it is turned
(box and landmarks of the clear picture), which cover was used, and pictures of other people, clear and covered alike.

Attackers (a clear gallery, unless it says otherwise):
    dlib        dlib's face descriptor, as if there were no cover
    dejavu      kernel ridge regression from covered pixels to dlib's descriptor of the clear face
    parrot-pca  whitened principal components of covered pixels; the gallery is covered in the same way
    parrot-lda  the same, with directions that vary within a person suppressed

Scopes: `chip` is dlib's aligned crop, with what the cover leaves around itself; `face` the ellipse of the cover alone.
Identities are split by a fixed seed: attackers learn on some, the gallery holds the others. The defaults of
`deidentify.cover` were chosen by `--tune`, which looks at identities that the attackers learn on here, and at none of
the gallery.

LFW is published for research only; nothing of it is kept.
"""
