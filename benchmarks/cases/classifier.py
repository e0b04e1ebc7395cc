"""ResNet-50 at 224 x 224: a training step, beside torchvision's with the same weights and pictures.

The peer is measured in both of PyTorch's layouts, for which is faster depends on the processor and the precision. In
bfloat16 the peer is under torch.autocast, and weights are float32 on both sides.

Where ours spends it, in float32 on a CPU with AVX-512 (tf.profiler; shares of the time of all operations):

  gradients of features 32 %, gradients of kernels 31 %, convolutions 15 %, batch norm and its gradient 11 %,
  the update of the weights 6 %, ReLU and sums 5 %, padding and pooling 1 %

A step of 16 images costs 3.9 s of processor time. It was 5.8 s with batch norm as some twenty operations (35 % of the
time), and 4.1 s with explicit padding in strided convolutions and the pooling, whose gradients are not oneDNN's.
"""

import os
from pathlib import Path

import numpy as np

from benchmarks import agreement, peers, pictures, sides
from benchmarks.sides import Case

TITLE = "ResNet-50 at 224x224, a training step of 16 images, the same weights"
CASE, BATCH = "training step, 16 images", 16
BAR = 1.0  # Most that ours may take, as a share of torchvision's time.


def cases(folder, options):
    """For each precision and layout of the peer, each in fresh processes: the check of their losses warms them up."""
    np.savez(f"{folder}/inputs.npz", **inputs())
    layouts = peers.LAYOUTS if sides.make_weights("classifier", folder) else peers.LAYOUTS[:1]
    check = agreement.check(agreement.of_arrays)
    return [
        Case(
            CASE, BAR, (folder, precision), (folder, precision, layout), warmups=0, images=BATCH,
            title=f"{precision}, {layout}", facts={"precision": precision, "layout": layout}, check=check,
        )
        for precision in _precisions()
        for layout in layouts
    ]  # fmt: skip


def _precisions():
    """float32, and bfloat16 where oneDNN may use the instructions without which it has none."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if not limit.startswith(("SSE", "AVX")) or limit.startswith(("AVX512", "AVX10")):
        return "float32", "bfloat16"
    print(f"bfloat16 is left out: with ONEDNN_MAX_CPU_ISA={limit} oneDNN has no AVX-512, and TensorFlow refuses it")
    return ("float32",)


def inputs(seed=0):
    """Pictures [B, 224, 224, 3] in 0..255 and labels [B] in 1..1000."""
    rng = np.random.default_rng(seed)
    images = pictures.blocks(rng, 256, (BATCH, 28, 28, 3), 8)
    return {"image": images.astype(np.float32), "label": rng.integers(1, 1001, BATCH).astype(np.int32)}


def _cases(train):
    """The step; and the losses of three of them."""
    return {CASE: train, "agreement": lambda: {"losses": [float(train()) for _ in range(3)]}}


def ours(folder, precision):
    """The training step."""
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
    batch = networks.batch_of(folder, "image", "label")
    return _cases(lambda: update(batch)[0][0]["loss"])


def _peer_network():
    from torchvision.models import resnet50

    return resnet50(weights=None)


def weights(folder):
    """Writes FOLDER/weights.npz."""
    peers.write_weights(folder, _peer_network)


def peer(folder, precision, layout):
    """torchvision's training step, in one of PyTorch's layouts."""
    torch = peers.torch()
    given = dict(np.load(Path(folder, "inputs.npz")))
    model = peers.loaded(_peer_network(), folder, layout).train()
    images, labels = peers.nchw(given["image"], layout), torch.from_numpy(given["label"]).long() - 1

    def loss():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return torch.nn.functional.cross_entropy(model(peers.normalized(images)), labels)

    step = peers.training_step(model, loss, nesterov=True)
    return _cases(lambda: step().item())
