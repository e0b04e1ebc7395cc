"""FCN on a dilated ResNet-50: logits of one image of 520x520, a training step of two of 480x480; beside torchvision's.
The weights, pictures and labels are the same on both sides, 21 classes. torchvision's network is measured without its
auxiliary head where it infers (ours has none then), and in both of PyTorch's layouts, for which is faster depends on
the processor. Training is by SGD with momentum on both heads' losses; dropout is on, but not where losses are compared.

A quarter of all products is in one convolution, the head's 3x3 of 2048 channels. Of an image of 520x520 it costs 0.59 s
of processor time at torchvision, 1.1 s by TensorFlow's convolution, and 0.42 s by `tfrecog.ops.winograd`, forward and
gradients alike (a CPU with AVX-512); the three of 512 channels in res5 go from 0.19 s each to 0.12 s.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sides
from benchmarks.cases.classifier import DEVIATION, LAYOUTS, MEAN

TITLE = "fcn_resnet50, the same weights"
SIDE, CROP, BATCH, CLASSES, AUXILIARY = 520, 480, 2, 21, 0.5
INFERENCE, STEP = f"logits, {SIDE}x{SIDE}", f"training step, {BATCH} of {CROP}x{CROP}"
BAR = 0.9  # Most that ours may take, as a share of torchvision's time.


def measure(options):
    """Yields a row (see `Sides.compare`) for each case and layout of the peer, each layout in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs())
        has_peer = sides.make_weights("segmenter", folder)
        for layout in LAYOUTS if has_peer else LAYOUTS[:1]:
            with sides.Sides("segmenter", (folder,), (folder, layout)) as pair:
                pair.run("agreement")
                print(f"  the peer {layout}{agreement(folder) if has_peer else ''}", flush=True)
                for case in (INFERENCE, STEP):
                    yield pair.compare(case, options.runs, BAR, warmups=1) | {"layout": layout}


def inputs(seed=0):
    """Pictures [1, 520, 520, 3] and [2, 480, 480, 3] in 0..255, and labels [2, 480, 480] in 0..21; 0 does not count."""
    rng = np.random.default_rng(seed)

    def blocks(batch, side, last, cells=40):
        drawn = rng.integers(0, last, (batch, cells, cells))
        return drawn.repeat(side // cells, axis=1).repeat(side // cells, axis=2)

    photo, crops = (np.stack([blocks(n, s, 256) for _ in range(3)], axis=-1) for n, s in ((1, SIDE), (BATCH, CROP)))
    labels = blocks(BATCH, CROP, CLASSES + 1)
    return {"photo": photo.astype(np.float32), "image": crops.astype(np.float32), "label_map": labels.astype(np.int32)}


def agreement(folder):
    """How far the logits and losses of the two sides, files in `folder`, are apart; in words."""
    ours, peer = (np.load(Path(folder, name)) for name in ("ours.npz", "peer.npz"))
    apart = np.abs(ours["logits"] - peer["logits"]).max()
    losses = " and ".join(f"{a:.5f} / {b:.5f}" for a, b in zip(ours["losses"], peer["losses"], strict=True))
    return f"; logits of up to {np.abs(peer['logits']).max():.2f} differ by at most {apart:.1e}; losses {losses}"


def ours(folder):
    """Logits, the training step, and both sides' losses without dropout."""
    import tensorflow as tf

    from benchmarks import networks
    from tfrecog.config import BackboneConfig, Experiment, OptimConfig, SegmenterConfig
    from tfrecog.weights import tensors, torchvision_fcn

    def load(model, weights):
        tensors.assign(model.variables, torchvision_fcn.arrays(model, weights))

    network = BackboneConfig(name="resnet50", norm="batch", frozen_stages=0)
    experiment = Experiment(
        task="segmentation",
        segmenter=SegmenterConfig(name="fcn_dilated", backbone=network, dropout=0.1),
        optim=OptimConfig(weight_decay=1e-4),
    )
    task, model, update = networks.trainer(experiment, range(CLASSES), folder, load)
    given = {name: tf.constant(array) for name, array in np.load(Path(folder, "inputs.npz")).items()}
    batch = {name: given[name] for name in ("image", "label_map")}
    batch |= {"seed": tf.zeros([BATCH, 2], tf.int32), "valid": tf.ones([BATCH], tf.bool)}
    infer = tf.function(model)

    def agree():
        logits = infer(given["photo"])[0]
        heads = model.head, model.aux
        for head in heads:
            head.config = dataclasses.replace(head.config, dropout=0.0)
        terms = tf.function(task.losses)(model, batch)
        for head in heads:
            head.config = experiment.segmenter
        means = {name: float(total / count) for name, (total, count) in terms.items()}
        losses = [means["class_loss"], means["auxiliary_loss"] / experiment.segmenter.auxiliary]
        np.savez(Path(folder, "ours.npz"), logits=logits, losses=losses)

    return {"agreement": agree, INFERENCE: lambda: infer(given["photo"]).numpy(), STEP: lambda: update(batch)}


def _peer_network():
    from torchvision.models.segmentation import fcn_resnet50

    return fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)


def weights(folder):
    """Writes FOLDER/weights.npz."""
    import torch

    torch.manual_seed(0)
    state = _peer_network().state_dict()
    np.savez(Path(folder, "weights.npz"), **{name: value.numpy() for name, value in state.items()})


def peer(folder, layout):
    """torchvision's, in one of PyTorch's layouts."""
    import torch

    from benchmarks.cases.models import loaded

    torch.set_num_threads(2)
    memory = getattr(torch, layout)
    given = dict(np.load(Path(folder, "inputs.npz")))
    model = loaded(_peer_network(), folder).to(memory_format=memory)
    mean, std = (torch.tensor(rgb)[:, None, None] for rgb in (MEAN, DEVIATION))
    photo, images = (
        torch.from_numpy(given[name]).permute(0, 3, 1, 2).contiguous(memory_format=memory)
        for name in ("photo", "image")
    )
    labels = torch.from_numpy(given["label_map"]).long() - 1  # -1 does not count.
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, 0.9, weight_decay=1e-4)
    aux = model.aux_classifier

    def infer():
        model.eval()
        model.aux_classifier = None  # Its logits are of no use here.
        with torch.inference_mode():
            logits = model((photo - mean) / std)["out"]
        model.aux_classifier = aux
        return logits

    def losses():
        model.train()
        outputs = model((images - mean) / std)
        return [torch.nn.functional.cross_entropy(outputs[name], labels, ignore_index=-1) for name in ("out", "aux")]

    def agree():
        logits = infer()[0].permute(1, 2, 0).numpy()
        dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
        rates = [module.p for module in dropouts]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        for module in dropouts:
            module.p = 0.0
        with torch.no_grad():
            values = [loss.item() for loss in losses()]
        model.load_state_dict(state)  # The moving statistics have moved.
        for module, rate in zip(dropouts, rates, strict=True):
            module.p = rate
        np.savez(Path(folder, "peer.npz"), logits=logits, losses=values)

    def train():
        main_loss, auxiliary = losses()
        loss = main_loss + AUXILIARY * auxiliary
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {"agreement": agree, INFERENCE: lambda: infer().numpy(), STEP: train}
