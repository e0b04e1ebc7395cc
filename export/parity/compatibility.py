"""Whether an artefact is one of a run, and what both are to be compared with."""

import dataclasses

from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Exported
from tfrecog.config import Experiment

from ..artifact import metadata
from ..litert import graph, reader


class Incompatible(UserError):
    """The artefact is none of this run."""


def kind_of(model_metadata: dict, run: Experiment) -> str:
    """The kind of an artefact, which `tolerances.KINDS` has tolerances for."""
    if "tflite" in model_metadata:
        return model_metadata["tflite"]["quantize"]
    return "SavedModel" if model_metadata["precision"] in ("float32", run.train.precision) else "bfloat16"


def experiment_of(run: Experiment, model_metadata: dict, artefact: str) -> Experiment:
    """The artefact's experiment with the run's folders: both are compared with what the artefact was exported with."""
    exported = reader.experiment_of(model_metadata)
    if exported.task != run.task:
        raise Incompatible(f"{artefact} is of --task={exported.task}, and the run of {run.task}: choose another")
    train = dataclasses.replace(run.train, precision=exported.train.precision, replicas=1)
    data = dataclasses.replace(exported.data, records=run.data.records, eval_split=run.data.eval_split)
    experiment = dataclasses.replace(exported, workdir=run.workdir, data=data, train=train)
    if "tflite" in model_metadata:
        experiment = graph.still(experiment)
    elif model_metadata["precision"] == "bfloat16":  # Compared with the run's own.
        experiment = dataclasses.replace(experiment, train=dataclasses.replace(train, precision=run.train.precision))
    return experiment


def changed(run: Experiment, experiment: Experiment) -> list[str]:
    """Flags of inference that the artefact was exported with and the run has otherwise."""
    exported = {leaf.path for leaf in flags.leaves(experiment) if leaf.fact(Exported)}
    return [
        f"--{path}={new} (run: {old})"
        for path, (old, new) in validate.differences(run, experiment).items()
        if path in exported
    ]


def check_metadata(model_metadata: dict, experiment: Experiment, info, artefact: str) -> None:
    """Incompatible if an artefact has other classes than the run, or says of its results what its flags do not."""
    own, trained = metadata.names(model_metadata), list(info.names)
    if own != trained:
        raise Incompatible(
            f"{artefact} has {len(own)} classes ({', '.join(own[:5])}, ...), and the run {len(trained)} "
            f"({', '.join(trained[:5])}, ...): it is of another run"
        )
    output = experiment.detector.output
    names = ("min_score", "mask_threshold", "paste") if experiment.task == "detection" else ()
    for name in names:
        if model_metadata[name] != getattr(output, name):
            raise Incompatible(
                f"{artefact}: its metadata has the {name} {model_metadata[name]}, and its flags "
                f"{getattr(output, name)}, which is what the network does: export it again"
            )
