"""Covers on pictures: the gate that every frame passes, what a cover looks like, and what paints it.

gate       refuses a frame with a face that is neither covered nor kept
geometry   which samples a cover touches
plan       which covers overlap and become one
colours    colours in the planes of a picture
tones      skin in the light of what is beside covers
patches    what is painted, by style
opacity    how much of it each sample gets
cpu, gpu   paint covers into planes in memory, or on a device
"""
