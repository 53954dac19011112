"""What is claimed about the faces of an uploaded video, for people and for programs.

batch         which videos, and what is there already
networks      what it rests on: cards and hashes
frames        a file's pictures, decoded in the jail
screener      one pass over one video
observations  what is kept of a pass: series, pictures of faces
report        what the files for programs hold
document      how a screening becomes one
page, plots   and for people
"""
