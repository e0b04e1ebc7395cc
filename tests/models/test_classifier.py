import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import ClassifierConfig
from tfrecog.models import classifier


# One of a kind; MobileNetV3 since TensorFlow 2.21 ends the process at some depthwise convolutions in a graph.
@pytest.mark.parametrize("name", ["alexnet", "resnet18", "mobilenet_v3_large"])
def test_a_graph_gives_the_logits_of_eager_execution_at_any_size(name):
    model = classifier.build(ClassifierConfig(name=name), 7)
    images = tf.constant(np.random.default_rng(0).integers(0, 255, [2, 72, 97, 3]).astype(np.float32))
    logits = model.logits(images)
    model.built = True
    of_any_size = tf.function(model, [tf.TensorSpec([None, None, None, 3])])
    assert logits.shape == [2, 7]
    np.testing.assert_allclose(of_any_size(images).numpy(), logits.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    "name, weights",
    # As torchvision's table of models says; VGG16's 4224 biases before a batch norm are not needed.
    [("alexnet", 61_100_840), ("vgg16_bn", 138_365_992 - 4_224), ("resnet18", 11_689_512),
     ("mobilenet_v3_large", 5_483_032)],
)  # fmt: skip
def test_a_network_has_as_many_weights_as_is_published(name, weights, monkeypatch):
    for initializer in ("VarianceScaling", "RandomNormal"):  # Zeros are quicker.
        monkeypatch.setattr(f"keras.initializers.{initializer}", lambda *_, **__: "zeros")
    model = classifier.build(ClassifierConfig(name=name), 1000)
    model.logits(tf.zeros([1, 64, 64, 3]))
    assert sum(int(np.prod(variable.shape)) for variable in model.trainable_variables) == weights
