"""Other names of flags: those of before, with which an old flagfile is refused, and those of other toolkits."""

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

# What other toolkits call a setting → what means it here, a flag or several; of a command, the first that it has.
ELSEWHERE = {
    ("amp", "fp16", "half"): ("quantize", "train.precision"),
    ("base_lr", "lr", "lr0"): ("optim.learning_rate",),
    ("batch", "bs", "train_batch_size"): ("data.batch_size", "max_batch"),
    ("cfg", "config", "config_file"): ("flagfile",),
    ("conf", "conf_thres", "confidence", "score_thr"): ("min_score", "detector.output.min_score"),
    ("epoch", "epochs", "max_epochs", "num_epochs"): ("minutes", "schedule.epochs"),
    ("gpu", "gpus"): ("device",),
    ("image_size", "img", "img_size", "imgsz", "input_size"): ("size", "data.short_side data.eval_short_side"),
    ("iou", "iou_thres", "nms"): ("detector.output.nms_iou",),
    ("max_det",): ("detector.output.max_detections",),
    ("num_workers",): ("data.workers", "jobs"),
    ("optimizer",): ("optim.name",),
    ("out_dir", "output", "output_dir", "project", "save_dir"): ("out", "workdir"),
    ("pretrained", "weights"): ("model", "start_from", "checkpoint", "train.start_from"),
    ("source",): ("images", "photos"),
    ("wd",): ("optim.weight_decay",),
}
