"""Settings of the optimizer, the learning rate over time, and the run."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli.facts import (
    Ascending,
    BelowOne,
    Fraction,
    Length,
    NonNegative,
    Positive,
    Range,
    Resumable,
    Unless,
    When,
)


@dataclass(frozen=True)
class OptimConfig:
    """Optimizer. SGD as in the papers: u = momentum * u + gradient + weight_decay * w; w = w - learning_rate * u."""

    name: Annotated[
        Literal["sgd", "lars", "adamw", "lamb"],
        "SGD with momentum, LARS (You et al. 2017), AdamW (Loshchilov and Hutter 2019) or LAMB (You et al. 2020).",
    ] = "sgd"
    learning_rate: Annotated[float, "Learning rate for a batch of optim.base_batch_size images.", Positive()] = 0.02
    base_batch_size: Annotated[int, "Batch size that the learning rate was chosen for.", Positive("images")] = 16
    scaling: Annotated[
        Literal["linear", "sqrt", "none"],
        "How the learning rate scales with the batch size (Goyal et al. 2017, section 2.1).",
    ] = "linear"
    momentum: Annotated[float, "Momentum; beta1 of AdamW and LAMB.", BelowOne()] = 0.9
    nesterov: Annotated[bool, "Nesterov momentum.", When(".name", "sgd", "lars")] = False
    momentum_correction: Annotated[
        bool,
        "A changed learning rate scales the whole update at once (Goyal et al. 2017, section 3). Off: the velocity "
        "contains the learning rate, v = m v + rate (g + decay w), as in many libraries.",
        When(".name", "sgd", "lars"),
    ] = True
    beta2: Annotated[
        float, "AdamW, LAMB: decay rate of the second moment.", BelowOne(), When(".name", "adamw", "lamb")
    ] = 0.999
    epsilon: Annotated[
        float, "AdamW, LAMB: added to the root of the second moment.", Positive(), When(".name", "adamw", "lamb")
    ] = 1e-8
    trust_coefficient: Annotated[
        float, "LARS: trust coefficient, of the norm of the weights over that of the update.", Positive(),
        When(".name", "lars"),
    ] = 0.001  # fmt: skip
    weight_decay: Annotated[float, "L2 penalty on kernels.", NonNegative()] = 1e-4
    decay_biases: Annotated[bool, "Weight decay on biases too."] = True
    decay_norm: Annotated[bool, "Weight decay on the gains and shifts of normalisation too."] = False
    clip_norm: Annotated[
        float, "Clip the global norm of the gradient to this, after the all-reduce. 0: no clipping.", NonNegative()
    ] = 0.0
    ema: Annotated[
        float,
        "Decay, per step, of an exponential moving average of the weights, such as 0.9999; evaluation and prediction "
        "then use the average. 0: off.",
        BelowOne(),
    ] = 0.0


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate over time."""

    epochs: Annotated[
        float,
        "Length of training. A run with cosine, poly or linear decay cannot be continued with another.",
        Positive("epochs"),
        Resumable("training"),
    ] = 12.0
    warmup: Annotated[
        Literal["gradual", "constant", "none"],
        "Warmup: the learning rate increases linearly from its start, stays at its start and then jumps, or there is "
        "none (Goyal et al. 2017, section 2.2).",
    ] = "gradual"
    warmup_epochs: Annotated[
        float, "Length of the warmup.", NonNegative("epochs"), Unless(".warmup", "none", refused=False)
    ] = 0.136
    warmup_from: Annotated[
        Literal["factor", "base"],
        "The warmup starts at schedule.warmup_factor times the learning rate, or at optim.learning_rate as it is "
        "before scaling.",
        Unless(".warmup", "none", refused=False),
    ] = "factor"
    warmup_factor: Annotated[
        float,
        "See schedule.warmup_from.",
        Fraction(),
        When(".warmup_from", "factor"),
        Unless(".warmup", "none", refused=False),
    ] = 0.001
    decay: Annotated[
        Literal["steps", "cosine", "poly", "linear", "constant"],
        "After the warmup: step decay at schedule.drop_epochs, cosine decay to 0 (Loshchilov and Hutter 2017), "
        "polynomial decay with a power of 0.9 (segmentation), a line from the end of the warmup to 0 (Li et al. 2020), "
        "or constant.",
    ] = "steps"
    bends: Annotated[
        tuple[float, ...],
        "Linear decay: pairs of epochs, such as 6,10: from epoch 6 on the line aims for 0 at epoch 10, where the "
        "training then ends. tfrecog.fit adds them to keep to its time.",
        NonNegative("epochs"),
        Length(),
        When(".decay", "linear"),
        Resumable("training"),
    ] = ()
    drop_epochs: Annotated[
        tuple[float, ...],
        "Step decay: the learning rate is multiplied by schedule.drop_factor at these epochs.",
        NonNegative("epochs"),
        Length(),
        Ascending(strictly=True),
        When(".decay", "steps", refused=False),
    ] = (8.0, 11.0)
    drop_factor: Annotated[
        float, "See schedule.drop_epochs.", Positive(), When(".decay", "steps", refused=False)
    ] = 0.1  # fmt: skip

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Bends that are no pairs, in no order, or lead back."""
        if self.decay != "linear":
            return
        pairs = list(zip(self.bends[::2], self.bends[1::2], strict=False))
        if len(self.bends) % 2:
            yield "bends", "needs an end behind each epoch, as in 6,10"
        elif any(before > after for (before, _), (after, _) in itertools.pairwise(pairs)):
            yield "bends", "must be in the order of the epochs from which they hold"
        elif any(end < epoch for epoch, end in pairs):
            yield "bends", "must not end before the epoch from which it holds"
        elif not all(end for _, end in pairs):
            yield "bends", "must end after epoch 0"


@dataclass(frozen=True)
class TrainConfig:
    """How training is run: initial weights, devices, precision, checkpoints, logs."""

    start_from: Annotated[
        str,
        "Initial weights of a new run: the folder of another run (its best checkpoint, or else its latest) or a "
        "checkpoint. Empty: random.",
    ] = ""
    skip_mismatched: Annotated[
        bool,
        "Skip weights of train.start_from whose name or shape differs, such as the heads of other classes, and list "
        "them.",
    ] = False
    seed: Annotated[
        int, "Random seed of the initial weights, the data order and the sampling.", Range(0, 2**31, ends="[)")
    ] = 0
    replicas: Annotated[int, "Devices to train on. 0: every GPU, or the CPU.", NonNegative("devices"), Resumable()] = 0
    worker_timeout: Annotated[
        float,
        "Training on several machines: seconds without a sign of life after which a worker counts as lost, and the "
        "others end.",
        Positive("seconds"),
        Resumable(),
    ] = 30.0
    deterministic: Annotated[bool, "Bit-for-bit reproducible on a GPU too; slower there.", Resumable()] = False
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        "Precision of the network's computations; weights, losses and their sums are float32. float16 uses dynamic "
        "loss scaling (Micikevicius et al. 2018).",
    ] = "float32"
    jit_compile: Annotated[
        bool,
        "Compile the network and its gradient with XLA; not for detectors, nor with sync_batch.",
        Resumable("training"),
    ] = False
    accumulate_steps: Annotated[
        int,
        "Gradient accumulation: split each batch into this many parts. Less memory, the same update (except with batch "
        "norm, whose statistics are per device and part).",
        Positive("parts"),
        Resumable("training"),
    ] = 1
    steps_per_execution: Annotated[
        int, "Training steps per call from Python, run in one graph.", Positive("steps"), Resumable("training")
    ] = 1  # fmt: skip
    profile_steps: Annotated[
        tuple[int, ...],
        "Profile from this first to this last step, for TensorBoard, such as 10,15. Empty: none.",
        Positive("steps"),
        Length(0, 2),
        Ascending(),
        Resumable("training"),
    ] = ()
    evaluate_epochs: Annotated[
        float,
        "Interval of evaluations; there is one at the end too. 0: never.",
        NonNegative("epochs"),
        Resumable("training"),
    ] = 1.0
    checkpoint_epochs: Annotated[
        float,
        "Interval of checkpoints; there is one at the end too. 0: only there.",
        NonNegative("epochs"),
        Resumable("training"),
    ] = 1.0
    keep_checkpoints: Annotated[
        int, "Latest checkpoints to keep, beside the best.", Positive("checkpoints"), Resumable()
    ] = 2
    log_steps: Annotated[int, "Interval of printed lines and summaries.", Positive("steps"), Resumable()] = 20
    summary_images: Annotated[
        int, "Images with predictions in TensorBoard after each evaluation.", NonNegative("images"), Resumable()
    ] = 4
