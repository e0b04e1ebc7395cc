"""Mask R-CNN ResNet-50-FPN: inference and a training step, beside torchvision's with the same weights and inputs."""

from pathlib import Path

import numpy as np

from benchmarks import agreement, peers, pictures, sides
from benchmarks.sides import Case

TITLE = "Mask R-CNN ResNet-50-FPN, the same weights"
INFERENCE, TRAINING = "inference, 1 image 800x1216", "training step, 2 images 480x640"
BARS = {INFERENCE: 0.8, TRAINING: 0.9}  # Most that ours may take, as a share of torchvision's time.
SLOTS = 100


def cases(folder, options):
    """Each in fresh processes; of inference, whether the detections agree."""
    np.savez(f"{folder}/inputs.npz", **inputs())
    sides.make_weights("models", folder)
    check = {INFERENCE: agreement.check(agreement.of_detections)}
    return [Case(name, bar, (folder, name), check=check.get(name, sides.no_check)) for name, bar in BARS.items()]


def inputs(seed=0):
    """An image, and two with the boxes [2, 8, 4] and labels [2, 8] of objects, whose masks fill their boxes."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, [480 * 0.6, 640 * 0.6], (2, 8, 2))
    size = rng.uniform(20, [480 * 0.4, 640 * 0.4], (2, 8, 2))
    return {
        "image": pictures.blocks(rng, 256, (1, 100, 152, 3), 8).astype(np.float32),
        "pictures": pictures.blocks(rng, 256, (2, 60, 80, 3), 8).astype(np.float32),
        "boxes": np.concatenate([corner, corner + size], axis=-1).round().astype(np.float32),
        "labels": rng.integers(1, 91, (2, 8)).astype(np.int32),
    }


def ours(folder, _):
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
    def predict():
        return task.predict(model, {"image": image, "size": tf.constant([[800, 1216]])})

    def infer():
        return {name: values[0].numpy() for name, values in predict().items()}

    return {INFERENCE: infer, TRAINING: lambda: train(batch), "agreement": lambda: agreement.filled(infer())}


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


def weights(folder):
    """Writes FOLDER/weights.npz."""

    def adjust(state):
        generator = peers.torch().Generator().manual_seed(1)
        for name, value in state.items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            if "bn3.weight" in name:  # Keeps the residual sums of an untrained network from exploding.
                value.fill_(0.2)
        # A spread of class scores like a trained network's: some hundred candidates an image.
        state["roi_heads.box_predictor.cls_score.weight"] *= 40
        state["rpn.head.cls_logits.weight"] *= 10

    peers.write_weights(folder, peer_network, adjust)


def peer(folder, _):
    """torchvision's inference and training step."""
    torch = peers.torch()
    given = dict(np.load(Path(folder, "inputs.npz")))
    model = peers.loaded(peer_network(), folder)
    image, photos = (torch.from_numpy(given[name]).permute(0, 3, 1, 2) / 255 for name in ("image", "pictures"))
    objects = _targets(given)

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(list(image))[0]

    def loss():
        model.train()
        # The pictures are used at their own size, as on our side: the resize is the input pipeline's there.
        model.transform.min_size, model.transform.max_size = (480,), 640
        return sum(model(list(photos), objects).values())

    train = peers.training_step(model, loss)
    return {INFERENCE: infer, TRAINING: train, "agreement": lambda: agreement.filled(infer())}


def _targets(given):
    """The objects of the two pictures in torchvision's words; their masks fill their boxes."""
    found = []
    for boxes, labels in zip(given["boxes"], given["labels"], strict=True):
        masks = np.zeros((len(boxes), 480, 640), np.uint8)
        for mask, (y1, x1, y2, x2) in zip(masks, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        one = {"boxes": boxes[:, [1, 0, 3, 2]], "labels": labels.astype(np.int64), "masks": masks}
        found.append({name: peers.torch().from_numpy(array) for name, array in one.items()})
    return found
