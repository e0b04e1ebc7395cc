"""The versions of a model in its folder: which are to be served, and how one takes the place of another."""

import asyncio
import contextlib
import logging
import re
from pathlib import Path
from typing import NamedTuple

from tfrecog.cli.errors import UserError

from ..served_graph import versions
from . import engines
from .model import ServedModel
from .registry import Model, Version
from .workers import Workers

log = logging.getLogger("tfrecog.serve")
EVERY = 1.0  # seconds between two looks at a folder


class Policy(NamedTuple):
    """Which versions are served: the newest so many, or those of these numbers; and those that have a label."""

    latest: int = 1
    numbers: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Policy":
        """That of --versions; UserError if it is none."""
        if found := re.fullmatch(r"latest:([1-9]\d{0,3})", text):
            return cls(int(found[1]))
        if re.fullmatch(r"\d{1,18}(,\d{1,18})*", text):
            return cls(0, tuple(map(int, text.split(","))))
        raise UserError(f"--versions={text}: name how many of the newest, as latest:2, or which, as 3,4")


class Keeper:
    """Serves the versions of a model that its policy wants and that can be served, and no others.

    A version is taken up when it is whole, loaded and warmed up, while the others serve on; then those that are not
    wanted are let go, when they have answered what they have begun. What keeps one from being served is in its
    `problem`; it is tried again when its files have changed.
    """

    def __init__(self, name: str, folder: str | Path, policy: Policy, workers: Workers, watched: bool):
        """UserError or OSError if there is nothing to serve in the folder."""
        self.model, self.watched = Model(name), watched
        self._folder, self._policy, self._workers = Path(folder), policy, workers
        self._tried: dict[str, tuple] = {}  # files of versions that could not be served
        self._leaving: set[asyncio.Task] = set()
        self._started = False
        # A TFLite file, or a folder that is itself a version.
        self._alone = self._folder.suffix == engines.LITE or versions.latest(folder) == self._folder
        if self._alone and watched:
            raise UserError(f"--watch: {folder} is a version; name the folder that versions are exported to")
        if not watched:
            for path in self._wanted()[: policy.latest or None]:
                engines.described(path)

    def _number(self, path: Path) -> str:
        return path.name if path.name.isdecimal() else "1"

    def _wanted(self) -> list[Path]:
        """The folders of versions in the order in which they are wanted."""
        if self._alone:
            return [self._folder]
        there = versions.numbers(self._folder)
        missing = {*self._policy.numbers} - {*there}
        if missing and not self.watched:
            raise UserError(f"--versions: {self._folder} has no version {min(missing)}")
        numbers = [number for number in reversed(there) if not self._policy.numbers or number in self._policy.numbers]
        return [self._folder / str(number) for number in numbers]

    async def start(self) -> None:
        """Serves the first versions; UserError if there are none that can be served."""
        await self.look()
        if not self.model.available():
            problems = [f"{one.number}: {one.problem}" for one in self.model.states()]
            raise UserError(f"no version in {self._folder} can be served. {'; '.join(problems)}")
        self._started = True

    async def watch(self) -> None:
        """Looks at the folder again and again."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except Exception:  # Of a folder that is being changed anything may be missing.
                log.exception("%s could not be looked at", self._folder)

    async def look(self) -> None:
        """Takes up what is new, and lets go what is not wanted any more."""
        paths, labels = await asyncio.to_thread(lambda: (self._wanted(), self._labels()))
        kept: set[str] = set()
        for path in paths:
            number = self._number(path)
            wanted = self._alone or self._policy.numbers or len(kept) < self._policy.latest or number in labels.values()
            if wanted and await self._take_up(path):
                kept.add(number)
        self.model.labels = {label: number for label, number in labels.items() if number in kept}
        there = {self._number(path) for path in paths}
        for number, version in [*self.model.versions.items()]:
            if version.state == "AVAILABLE" and number not in kept and kept:
                self._let_go(version)
            elif version.state == "AVAILABLE" and number not in there:
                version.problem = "its folder is gone; it is served until another can be"
            elif number not in there and version.state in ("START", "END"):
                del self.model.versions[number]

    def _labels(self) -> dict[str, str]:
        """The labels of versions: links in the folder to versions in it, of other names than numbers."""
        if self._alone or not self._folder.is_dir():
            return {}
        folders = {str(number): self._folder / str(number) for number in versions.numbers(self._folder)}
        links = [one for one in sorted(self._folder.iterdir()) if one.is_symlink() and one.name not in folders]
        labels = {}
        for link in links:
            with contextlib.suppress(OSError):  # It leads nowhere, or in a circle.
                found = [number for number, path in folders.items() if link.samefile(path)]
                if found and not link.name.startswith("."):
                    labels[link.name] = found[-1]
        return labels

    async def _take_up(self, path: Path) -> bool:
        """Whether a version is served, now."""
        number = self._number(path)
        version = self.model.versions.setdefault(number, Version(number))
        if version.state == "AVAILABLE":
            version.problem = ""
            return True
        files = await asyncio.to_thread(_files, path)
        if self._tried.get(number) == files or version.state == "UNLOADING":
            return False
        self._tried[number], version.problem = files, ""
        try:
            served = await self._loaded(version, path)
        except (UserError, OSError) as error:
            if not self.watched:
                raise
            version.state, version.problem = "START", str(error)
            log.warning("version %s of %s is not served: %s", number, self.model.name, error)
            return False
        version.served, version.state = served, "AVAILABLE"
        self._tried.pop(number)
        if self._started:
            print(f"{self.model.name} is served in version {number}", flush=True)
        return True

    async def _loaded(self, version: Version, path: Path) -> ServedModel:
        """A version that was loaded and warmed up; UserError or OSError if it cannot be."""
        if self.watched:
            await asyncio.to_thread(versions.check_whole, path)
        version.state = "LOADING"
        described = await asyncio.to_thread(engines.described, path)
        tasks = {one.metadata["task"] for one in self.model.available()} - {described["task"]}
        if tasks:
            raise UserError(f"it is a model for {described['task']}, and {self.model.name} one for {tasks.pop()}")
        served = ServedModel(self.model.name, path, described, self._workers)
        try:
            await served.warm_up()
        except BaseException:
            served.close()
            raise
        return served

    def _let_go(self, version: Version) -> None:
        version.state = "UNLOADING"

        async def leave() -> None:
            served, version.served = version.served, None
            if served:
                await served.leave()
            version.state = "END"

        task = asyncio.create_task(leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def close(self) -> None:
        """Ends the threads of all versions."""
        for one in self.model.available():
            one.close()


def keepers(flags, workers: Workers) -> list[Keeper]:
    """The keeper of each model that is named in --model; UserError if one cannot be, or two have one name."""
    folders = [one for one in flags.model.split(",") if one]
    names = flags.name.split(",") if flags.name else [""] * len(folders)
    if len(names) != len(folders):
        raise UserError(f"--name has {len(names)} names, and --model {len(folders)} folders; give a name for each")
    named = {_name(name, folder): folder for name, folder in zip(names, folders, strict=True)}
    if len(named) != len(folders):
        raise UserError("--model: two folders have one name; give each its own with --name, as in --name=cats,dogs")
    policy = Policy.of(flags.versions)
    return [Keeper(name, folder, policy, workers, flags.watch) for name, folder in named.items()]


def _name(name: str, folder: str) -> str:
    """The name of a model in addresses; UserError if it would not stand in one."""
    path = Path(folder).resolve()
    name = name or (path.stem if path.suffix == engines.LITE else path.name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(
            f"--name: {name!r} cannot stand in an address; letters, digits and . _ - can, as in --name=dogs"
        )
    return name


def _files(path: Path) -> tuple:
    """The files of a version, by which it is told whether it has changed."""
    found = []
    for part in sorted(path.rglob("*")):
        try:
            known = part.stat()
            found.append((str(part), known.st_size, known.st_mtime_ns))
        except OSError:  # gone since, or a link to nothing
            continue
    return tuple(found)
