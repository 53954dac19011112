"""`facewarden screen`: what is claimed about the faces of an uploaded video, for people and for programs.

command   the batch: which videos, what is there already, exit codes
models    the networks that it rests on, their cards and hashes
pictures  a file's pictures, decoded in the jail
video     one pass over one video
notes     what is kept of a pass: series, pictures of faces
report    all of it as a JSON document
page      and as a page, with plots
"""
