"""PRO-Face S: a face hidden in its own cover, which the same network gives back to who holds the key.

L. Yuan, K. Liang, X. Pu, Y. Zhang, J. Leng, T. Wu, N. Wang, X. Gao, "PRO-Face S: Privacy-preserving Reversible
Obfuscation of Face Images via Secure Flow", arXiv:2307.09146 (2023), IEEE TCSVT 34(7) 2024.

An invertible network takes a face and any cover of it, and gives a picture that looks like the cover and carries the
face. Backwards, with the same map of a key, it gives the face back; with another map, noise or the cover. It binds a
picture to a key; it does not encrypt: who has the weights and a lossless carrier finds the face without a key
(`attacks.py` measures how well). What must hold against an attacker is sealed by a cipher, not by this.
"""
