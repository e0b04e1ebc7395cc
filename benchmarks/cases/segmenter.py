"""FCN on a dilated ResNet-50: logits of one image of 520x520, a training step of two of 480x480; beside torchvision's.
The weights, pictures and labels are the same on both sides, 21 classes. torchvision's network is measured without its
auxiliary head where it infers (ours has none then), and in both of PyTorch's layouts, for which is faster depends on
the processor. Training is by SGD with momentum on both heads' losses; dropout is on, but not where losses are compared.

A quarter of all products is in one convolution, the head's 3x3 of 2048 channels. Of an image of 520x520 it costs 0.59 s
of processor time at torchvision, 1.1 s by TensorFlow's convolution, and 0.42 s by `tfrecog.ops.winograd`, forward and
gradients alike (a CPU with AVX-512); the three of 512 channels in res5 go from 0.19 s each to 0.12 s.
"""

import copy
import dataclasses
from pathlib import Path

import numpy as np

from benchmarks import agreement, peers, pictures, sides
from benchmarks.sides import Case

TITLE = "fcn_resnet50, the same weights"
SIDE, CROP, BATCH, CLASSES, AUXILIARY = 520, 480, 2, 21, 0.5
INFERENCE, STEP = f"logits, {SIDE}x{SIDE}", f"training step, {BATCH} of {CROP}x{CROP}"
BAR = 0.9  # Most that ours may take, as a share of torchvision's time.


def cases(folder, options):
    """Both for each layout of the peer, each layout in fresh processes."""
    np.savez(f"{folder}/inputs.npz", **inputs())
    layouts = peers.LAYOUTS if sides.make_weights("segmenter", folder) else peers.LAYOUTS[:1]
    check = {INFERENCE: agreement.check(agreement.of_arrays)}
    return [
        Case(
            name, BAR, (folder,), (folder, layout), warmups=1, title=f"{name}, {layout}", facts={"layout": layout},
            check=check.get(name, sides.no_check),
        )
        for layout in layouts
        for name in (INFERENCE, STEP)
    ]  # fmt: skip


def inputs(seed=0):
    """Pictures [1, 520, 520, 3] and [2, 480, 480, 3] in 0..255, and labels [2, 480, 480] in 0..21; 0 does not count."""
    rng = np.random.default_rng(seed)
    return {
        "photo": pictures.blocks(rng, 256, (1, 40, 40, 3), SIDE // 40).astype(np.float32),
        "image": pictures.blocks(rng, 256, (BATCH, 40, 40, 3), CROP // 40).astype(np.float32),
        "label_map": pictures.blocks(rng, CLASSES + 1, (BATCH, 40, 40), CROP // 40).astype(np.int32),
    }


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
    photo, batch = networks.batch_of(folder, "photo")["photo"], networks.batch_of(folder, "image", "label_map")
    infer = tf.function(model)

    def agree():
        logits, heads = infer(photo)[0], (model.head, model.aux)
        for head in heads:
            head.config = dataclasses.replace(head.config, dropout=0.0)
        terms = tf.function(task.losses)(model, batch)
        for head in heads:
            head.config = experiment.segmenter
        means = {name: float(total / count) for name, (total, count) in terms.items()}
        losses = [means["class_loss"], means["auxiliary_loss"] / experiment.segmenter.auxiliary]
        return {"logits": logits, "losses": losses}

    return {INFERENCE: lambda: infer(photo).numpy(), STEP: lambda: update(batch), "agreement": agree}


def _peer_network():
    from torchvision.models.segmentation import fcn_resnet50

    return fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)


def weights(folder):
    """Writes FOLDER/weights.npz."""
    peers.write_weights(folder, _peer_network)


def peer(folder, layout):
    """torchvision's, in one of PyTorch's layouts."""
    torch = peers.torch()
    given = dict(np.load(Path(folder, "inputs.npz")))
    model = peers.loaded(_peer_network(), folder, layout)
    photo, images = (peers.nchw(given[name], layout) for name in ("photo", "image"))
    labels = torch.from_numpy(given["label_map"]).long() - 1  # -1 does not count.
    auxiliary = model.aux_classifier

    def infer():
        model.eval()
        model.aux_classifier = None  # Its logits are of no use here.
        with torch.inference_mode():
            logits = model(peers.normalized(photo))["out"]
        model.aux_classifier = auxiliary
        return logits

    def losses():
        outputs = model.train()(peers.normalized(images))
        return [torch.nn.functional.cross_entropy(outputs[name], labels, ignore_index=-1) for name in ("out", "aux")]

    def loss():
        main_loss, other = losses()
        return main_loss + AUXILIARY * other

    def agree():
        dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
        rates, state = [module.p for module in dropouts], copy.deepcopy(model.state_dict())
        logits = infer()[0].permute(1, 2, 0).numpy()
        for module in dropouts:
            module.p = 0.0
        with torch.no_grad():
            values = [one.item() for one in losses()]
        for module, rate in zip(dropouts, rates, strict=True):
            module.p = rate
        model.load_state_dict(state)  # The moving statistics have moved.
        return {"logits": logits, "losses": values}

    return {INFERENCE: lambda: infer().numpy(), STEP: peers.training_step(model, loss), "agreement": agree}
