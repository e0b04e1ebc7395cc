"""Our side of saved_model.py: python ours_saved_model.py FOLDER SAVED_MODEL, with inputs.npz in the folder."""

import sys
from pathlib import Path

import numpy as np
from sides import serve

from export.served_graph.reader import SavedReader


def main():
    folder, served = Path(sys.argv[1]), SavedReader(sys.argv[2])
    photo = np.load(folder / "inputs.npz")["photo"]

    def save():
        found = served.predict(photo)
        np.savez(folder / "ours.npz", **{name: found[name] for name in ("boxes", "labels", "scores")})

    serve({"photo of 480x640, masks pasted": lambda: served.predict(photo) and None, "save detections": save})


if __name__ == "__main__":
    main()
