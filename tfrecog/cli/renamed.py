"""Flags that had another name before, so that an old flagfile is refused with the names of today."""

RENAMED = {
    "data.tight": "data.pad_to_batch_max",
    "detector.box.layers": "detector.box.hidden_layers",
    "detector.box.pool_samples": "detector.box.sampling_ratio",
    "detector.box.trunk": "detector.box.hidden_units",
    "detector.keypoint.layers": "detector.keypoint.convs",
    "detector.keypoint.pool_samples": "detector.keypoint.sampling_ratio",
    "detector.mask.layers": "detector.mask.convs",
    "detector.mask.pool_samples": "detector.mask.sampling_ratio",
    "optim.trust": "optim.trust_coefficient",
    "schedule.shape": "schedule.decay",
    "train.accumulation": "train.accumulate_steps",
    "train.steps_per_call": "train.steps_per_execution",
    # of export.verify, export.serve and tfrecog.equivariance
    "count": "max_images",
    "queue": "max_in_flight",
    "parts": "experiment",
    "rois": "experiment",
}
