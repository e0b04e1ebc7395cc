"""How `pipelines.shapes` draws: outlines, textures, grounds, objects and the camera."""
