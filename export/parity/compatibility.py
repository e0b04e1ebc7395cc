"""Whether a model was exported from a run, and what both are to be compared with."""

import dataclasses

from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Exported
from tfrecog.config import Experiment

from ..artifact import metadata
from ..litert import graph


def kind_of(model_metadata: dict, run: Experiment) -> str:
    """The kind of an exported model, which `compare.KINDS` has tolerances for."""
    if "tflite" in model_metadata:
        return model_metadata["tflite"]["quantize"]
    if "onnx" in model_metadata:
        return "ONNX"
    return "SavedModel" if model_metadata["precision"] in ("float32", run.train.precision) else "bfloat16"


def experiment_of(run: Experiment, model_metadata: dict, artefact: str) -> Experiment:
    """The model's experiment with the run's folders: both are compared with what the model was exported with."""
    exported = metadata.experiment_of(model_metadata)
    if exported.task != run.task:
        raise UserError(f"{artefact} is of --task={exported.task}, and the run of {run.task}: choose one of this run")
    # One in bfloat16 is compared with the run's own precision.
    precision = run.train.precision if model_metadata["precision"] == "bfloat16" else exported.train.precision
    train = dataclasses.replace(run.train, precision=precision, replicas=1)
    data = dataclasses.replace(exported.data, records=run.data.records, eval_split=run.data.eval_split)
    experiment = dataclasses.replace(exported, workdir=run.workdir, data=data, train=train)
    return graph.still(experiment) if {"tflite", "onnx"} & model_metadata.keys() else experiment


def boxes_alone(experiment: Experiment) -> Experiment:
    """The experiment of a detector that is judged by its boxes."""
    return dataclasses.replace(
        experiment, detector=dataclasses.replace(experiment.detector, masks=False, keypoints=False)
    )


def changed(run: Experiment, experiment: Experiment) -> list[str]:
    """Flags of inference that the model was exported with and the run has otherwise."""
    exported = {leaf.path for leaf in flags.leaves(experiment) if leaf.fact(Exported)}
    return [
        f"--{path}={new} (run: {old})"
        for path, (old, new) in validate.differences(run, experiment).items()
        if path in exported
    ]


def check_metadata(model_metadata: dict, experiment: Experiment, info, artefact: str) -> None:
    """UserError if a model has other classes than the run, or its metadata and its flags differ."""
    own, trained = metadata.names(model_metadata), list(info.names)
    if own != trained:
        raise UserError(
            f"{artefact} has {len(own)} classes ({', '.join(own[:5])}, ...), and the run {len(trained)} "
            f"({', '.join(trained[:5])}, ...): it is of another run; choose that"
        )
    if experiment.task != "detection":
        return
    for name in ("min_score", "mask_threshold", "paste"):
        flag = getattr(experiment.detector.output, name)
        if model_metadata[name] != flag:
            raise UserError(
                f"{artefact}: its metadata has the {name} {model_metadata[name]}, and its flags {flag}, which is what "
                "the network does: export it again"
            )
