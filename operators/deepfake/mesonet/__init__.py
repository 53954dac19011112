"""Meso4, the small baseline that new detectors are compared with; it is neither trained nor run live here.

D. Afchar, V. Nozick, J. Yamagishi, I. Echizen, "MesoNet: a Compact Facial Video Forgery Detection Network", WIFS 2018.
Four convolutions on 256 x 256 pixels look at what lies between noise and meaning. Its authors publish weights that
were trained on Deepfakes (`Meso4_DF.h5`) and on Face2Face (`Meso4_F2F.h5`).
"""
