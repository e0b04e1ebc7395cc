"""Mask R-CNN ResNet-50-FPN: inference and a training step, beside torchvision's with the same weights and inputs."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import sides

TITLE = "Mask R-CNN ResNet-50-FPN, the same weights"
INFERENCE, TRAINING = "inference, 1 image 800x1216", "training step, 2 images 480x640"
BARS = {INFERENCE: 0.8, TRAINING: 0.9}  # Most that ours may take, as a share of torchvision's time.
SLOTS = 100


def measure(options):
    """Yields a row (see `Sides.compare`) for each case, each in fresh processes, and whether the detections agree."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs())
        has_peer = sides.make_weights("models", folder)
        for case, bar in BARS.items():
            with sides.Sides("models", (folder,)) as pair:
                row = pair.compare(case, options.runs, bar)
                if case == INFERENCE and has_peer:
                    pair.run("save detections")
                    row["agreement"] = agreement(folder)
                    print(f"  {row['agreement']}", flush=True)
                yield row


def inputs(seed=0):
    """An image, and two with the boxes [2, 8, 4] and labels [2, 8] of objects, whose masks fill their boxes."""
    rng = np.random.default_rng(seed)

    def images(count, height, width):
        blocks = rng.integers(0, 256, (count, height // 8, width // 8, 3))
        return blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)

    corner = rng.uniform(0, [480 * 0.6, 640 * 0.6], (2, 8, 2))
    size = rng.uniform(20, [480 * 0.4, 640 * 0.4], (2, 8, 2))
    return {
        "image": images(1, 800, 1216),
        "pictures": images(2, 480, 640),
        "boxes": np.concatenate([corner, corner + size], axis=-1).round().astype(np.float32),
        "labels": rng.integers(1, 91, (2, 8)).astype(np.int32),
    }


def agreement(folder):
    """How the detections of the two sides, files in `folder`, agree, in words."""
    ours, peer = (dict(np.load(Path(folder, name))) for name in ("ours.npz", "peer.npz"))
    apart = np.abs(ours["boxes"][:, None] - peer["boxes"][None, :, [1, 0, 3, 2]]).max(axis=-1, initial=0)
    apart = np.where(ours["labels"][:, None] == peer["labels"], apart, np.inf)
    nearest = apart.argmin(axis=1)
    box, score = apart.min(axis=1), np.abs(ours["scores"] - peer["scores"][nearest])
    same = (box < 0.01) & (score < 1e-4)
    # One of the peer's cannot stand for two of ours.
    number = len(np.unique(nearest[same]))
    text = f"detections: {number} of {len(ours['labels'])} (peer {len(peer['labels'])}) agree in label, box and score"
    return text + (
        f"; boxes within {box[same].max():.1g} pixels, scores within {score[same].max():.1g}" if number else ""
    )


def ours(folder):
    """Inference and the training step."""
    import tensorflow as tf

    from benchmarks import networks
    from tfrecog.config import DetectorConfig, Experiment, OptimConfig
    from tfrecog.weights import torchvision

    given = dict(np.load(Path(folder, "inputs.npz")))
    experiment = Experiment(detector=DetectorConfig(masks=True), optim=OptimConfig(learning_rate=networks.RATE))
    task, model, train = networks.trainer(experiment, range(1, 91), folder, torchvision.load, masks=True)
    image, batch = tf.constant(given["image"]), _training_batch(given)

    @tf.function
    def infer():
        return task.predict(model, {"image": image, "size": tf.constant([[800, 1216]])})

    def save():
        found = {name: value[0].numpy() for name, value in infer().items() if name != "masks"}
        filled = found["labels"] > 0
        np.savez(Path(folder, "ours.npz"), **{name: found[name][filled] for name in ("boxes", "labels", "scores")})

    def wait():
        tf.nest.map_structure(lambda one: one.numpy(), infer())

    return {INFERENCE: wait, TRAINING: lambda: train(batch), "save detections": save}


def _training_batch(given):
    """The two pictures with their objects, whose masks fill their boxes, in slots."""
    import tensorflow as tf

    empty = ((0, 0), (0, SLOTS - given["boxes"].shape[1]))
    boxes = np.pad(given["boxes"], (*empty, (0, 0)))
    return {
        "image": tf.constant(given["pictures"]),
        "size": tf.constant([[480, 640]] * 2),
        "seed": tf.constant([[1, 2], [3, 4]]),
        "boxes": tf.constant(boxes),
        "labels": tf.constant(np.pad(given["labels"], empty)),
        "mask_boxes": tf.constant(boxes),
        "masks": tf.ones([2, SLOTS, 112, 112], tf.uint8),
    }


def peer_network():
    """maskrcnn_resnet50_fpn as it is with published weights: frozen batch norm, three of five stages learn."""
    from torchvision.models import resnet50
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.ops.misc import FrozenBatchNorm2d

    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), 3)
    return MaskRCNN(backbone, 91, min_size=800, max_size=1333)


def loaded(model, folder):
    """The model with FOLDER/weights.npz."""
    import torch

    weights = np.load(Path(folder, "weights.npz"))
    model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()})
    return model


def weights(folder):
    """Writes FOLDER/weights.npz."""
    import torch

    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    state = peer_network().state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        if "bn3.weight" in name:  # Keeps the residual sums of an untrained network from exploding.
            value.fill_(0.2)
    # A spread of class scores like a trained network's: some hundred candidates an image.
    state["roi_heads.box_predictor.cls_score.weight"] *= 40
    state["rpn.head.cls_logits.weight"] *= 10
    np.savez(Path(folder, "weights.npz"), **{name: value.numpy() for name, value in state.items()})


def peer(folder):
    """torchvision's inference and training step."""
    import torch

    torch.set_num_threads(2)
    given = dict(np.load(Path(folder, "inputs.npz")))
    model = loaded(peer_network(), folder)
    image, pictures = (torch.from_numpy(given[name]).permute(0, 3, 1, 2) / 255 for name in ("image", "pictures"))
    objects = _targets(given)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-4, 0.9, weight_decay=1e-4)

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(list(image))

    def train():
        model.train()
        # The pictures are used at their own size, as on our side: the resize is the input pipeline's there.
        model.transform.min_size, model.transform.max_size = (480,), 640
        loss = sum(model(list(pictures), objects).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def save():
        [found] = infer()
        np.savez(Path(folder, "peer.npz"), **{name: found[name].numpy() for name in ("boxes", "labels", "scores")})

    return {INFERENCE: infer, TRAINING: train, "save detections": save}


def _targets(given):
    """The objects of the two pictures in torchvision's words; their masks fill their boxes."""
    import torch

    found = []
    for boxes, labels in zip(given["boxes"], given["labels"], strict=True):
        masks = np.zeros((len(boxes), 480, 640), np.uint8)
        for mask, (y1, x1, y2, x2) in zip(masks, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        one = {"boxes": boxes[:, [1, 0, 3, 2]], "labels": labels.astype(np.int64), "masks": masks}
        found.append({name: torch.from_numpy(array) for name, array in one.items()})
    return found
