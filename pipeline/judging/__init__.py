"""An independent judge: what of the faces of a video can still be seen, or got back, in what some tool made of it."""
