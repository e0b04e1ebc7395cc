"""What the pages for people have in common: the frame, the style, and the drawing of what a model sees."""
