"""ResNet-50 at 224 x 224: a training step, beside torchvision's with the same weights and pictures.

The peer is measured in both of PyTorch's layouts, for which is faster depends on the processor and the precision. In
bfloat16 the peer is under torch.autocast, and weights are float32 on both sides.

Where ours spends it, in float32 on a CPU with AVX-512 (tf.profiler; shares of the time of all operations):

  gradients of features 32 %, gradients of kernels 31 %, convolutions 15 %, batch norm and its gradient 11 %,
  the update of the weights 6 %, ReLU and sums 5 %, padding and pooling 1 %

A step of 16 images costs 3.9 s of processor time. It was 5.8 s with batch norm as some twenty operations (35 % of the
time), and 4.1 s with explicit padding in strided convolutions and the pooling, whose gradients are not oneDNN's.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sides

TITLE = "ResNet-50 at 224x224, a training step of 16 images, the same weights"
CASE, BATCH = "training step, 16 images", 16
PRECISIONS, LAYOUTS = ("float32", "bfloat16"), ("contiguous_format", "channels_last")
BAR = 1.0  # Most that ours may take, as a share of torchvision's time.
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # as our model's first layer has them


def measure(options):
    """Yields a row (see `Sides.compare`) for each precision and layout of the peer, each in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs())
        has_peer = sides.make_weights("classifier", folder)
        for precision in PRECISIONS:
            for layout in LAYOUTS if has_peer else LAYOUTS[:1]:
                with sides.Sides("classifier", (folder, precision), (folder, precision, layout)) as pair:
                    print(f"  {precision}, {BATCH} images, the peer {layout}", flush=True)
                    row = pair.compare(CASE, options.runs, BAR)
                    pair.run("save losses")
                row |= {"precision": precision, "layout": layout}
                rates = (
                    f"{side} {BATCH / row[side]['median_seconds']:.2f}" for side in ("ours", "peer") if side in row
                )
                print(f"  images/s: {', '.join(rates)}{agreement(folder) if has_peer else ''}", flush=True)
                yield row


def inputs(seed=0):
    """Pictures [B, 224, 224, 3] in 0..255 and labels [B] in 1..1000."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (BATCH, 28, 28, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return {"image": blocks.astype(np.float32), "label": rng.integers(1, 1001, BATCH).astype(np.int32)}


def agreement(folder):
    """The losses of the two sides, files in `folder`, in words."""
    ours, peer = (np.load(Path(folder, name))["loss"] for name in ("ours.npz", "peer.npz"))
    return f"; first loss {ours[0]:.4f} and {peer[0]:.4f}, third {ours[2]:.4f} and {peer[2]:.4f}"


def ours(folder, precision):
    """The training step."""
    import tensorflow as tf

    from benchmarks import networks
    from tfrecog.config import ClassifierConfig, Experiment, OptimConfig, TrainConfig
    from tfrecog.weights import tensors, torchvision_classifiers

    def load(model, weights):
        tensors.assign(model.variables, torchvision_classifiers.arrays(model, weights))

    experiment = Experiment(
        task="classification",
        classifier=ClassifierConfig(name="resnet50"),
        optim=OptimConfig(nesterov=True),
        train=TrainConfig(precision=precision),
    )
    _, _, update = networks.trainer(experiment, range(1, 1001), folder, load)
    batch = {name: tf.constant(array) for name, array in np.load(Path(folder, "inputs.npz")).items()}
    batch |= {"seed": tf.zeros([BATCH, 2], tf.int32), "valid": tf.ones([BATCH], tf.bool)}
    losses = []

    def train():
        ((terms,), _) = update(batch)
        losses.append(terms["loss"])

    return {CASE: train, "save losses": lambda: np.savez(Path(folder, "ours.npz"), loss=losses)}


def weights(folder):
    """Writes FOLDER/weights.npz."""
    import torch
    from torchvision.models import resnet50

    torch.manual_seed(0)
    state = resnet50(weights=None).state_dict()
    np.savez(Path(folder, "weights.npz"), **{name: value.numpy() for name, value in state.items()})


def peer(folder, precision, layout):
    """torchvision's training step, in one of PyTorch's layouts."""
    import torch
    from torchvision.models import resnet50

    from benchmarks.cases.models import loaded

    torch.set_num_threads(2)
    memory = getattr(torch, layout)
    given = dict(np.load(Path(folder, "inputs.npz")))
    model = loaded(resnet50(weights=None), folder).train().to(memory_format=memory)
    mean, std = (torch.tensor(rgb)[:, None, None] for rgb in (MEAN, DEVIATION))
    images = torch.from_numpy(given["image"]).permute(0, 3, 1, 2).contiguous(memory_format=memory)
    labels = torch.from_numpy(given["label"]).long() - 1
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, 0.9, weight_decay=1e-4, nesterov=True)
    losses = []

    def train():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model((images - mean) / std), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    return {CASE: train, "save losses": lambda: np.savez(Path(folder, "peer.npz"), loss=losses)}
