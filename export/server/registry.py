"""The models of a server and their versions: who asks for one by its name gets it, or is told why not."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .errors import RETRY_AFTER, Refused, shown
from .model import ServedModel
from .workers import Workers

State = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]  # as TensorFlow Serving has them


@dataclass
class Version:
    """A version of a model: its state, why it is not served, and the model where it is."""

    number: str
    state: State = "START"
    problem: str = ""
    served: ServedModel | None = None


@dataclass
class Model:
    """The versions of a model, and labels: names that stand for versions."""

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def available(self) -> list[ServedModel]:
        """The versions that are served, in their order."""
        served = [one.served for one in self.versions.values() if one.served and one.state == "AVAILABLE"]
        return sorted(served, key=lambda one: int(one.version))

    def find(self, version: str = "", label: str = "") -> ServedModel:
        """A version that is served, the newest where none is named; Refused if there is none."""
        available = self.available()
        if label:
            if label not in self.labels:
                known = f"its labels are {', '.join(self.labels)}" if self.labels else "it has none"
                raise Refused(f"{self.name!r} has no label {shown(label)}; {known}", 404)
            version = self.labels[label]
        if version:
            numbers = ", ".join(one.version for one in available)
            found = [one for one in available if one.version == version]
            if available and not found:
                raise Refused(f"{self.name!r} is served in version {numbers}, not in {shown(version)[1:-1]}", 404)
            available = found
        if not available:
            sentence = f"the model {self.name!r} is being loaded; ask again in a few seconds"
            raise Refused(sentence, 503, "not ready", {RETRY_AFTER: "2"})
        return available[-1]

    def states(self, version: str = "", label: str = "") -> list[Version]:
        """The version that is named, or all, the newest first; Refused if there is none of that number."""
        version = self.find(label=label).version if label else version
        found = [one for one in self.versions.values() if not version or one.number == version]
        if version and not found:
            raise Refused(f"{self.name!r} has the versions {', '.join(self.versions)}, not {shown(version)[1:-1]}", 404)
        return sorted(found, key=lambda one: -int(one.number))


class Registry:
    """The models by their names, and what they share."""

    def __init__(self, models: Iterable[Model], workers: Workers):
        self.models, self.workers = {model.name: model for model in models}, workers
        self.started = self.stopping = False

    def model(self, name: str) -> Model:
        """The model of a name; Refused if there is none."""
        if name not in self.models:
            names = ", ".join(map(repr, self.models))
            raise Refused(f"no model is named {shown(name)} here; this server has {names}", 404)
        return self.models[name]

    def find(self, name: str, version: str = "", label: str = "") -> ServedModel:
        """A version of a model that is served; Refused if there is none."""
        return self.model(name).find(version, label)

    def ready(self) -> bool:
        """Whether a version of each model is served."""
        return not self.stopping and all(model.available() for model in self.models.values())
