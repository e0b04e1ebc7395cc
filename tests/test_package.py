"""The installed package: everything is in it, under one name, and nothing of the working directory gets in its way."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

from tests.folders import REPOSITORY
from tfrecog.cli import launcher

MOUNTED = ("pipelines", "export", "configs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this tree, built in a copy so that nothing is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in ("tfrecog", *MOUNTED, "pyproject.toml", "README.pypi.md", "LICENSE"):
        (copy / name).symlink_to(REPOSITORY / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--disable-pip-version-check", "--wheel-dir", folder, copy]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A working directory with packages of its own by our folders' names, and a function that runs Python there."""
    folder, here = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("project")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in MOUNTED:
        (here / name).mkdir()
        (here / name / "__init__.py").write_text("raise ImportError('this is the package of somebody else')\n")

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        return subprocess.run(
            [sys.executable, *arguments], cwd=here, env=environment, capture_output=True, text=True, timeout=300
        )

    run.folder = here
    return run


def test_a_wheel_has_every_module_and_recipe_of_the_tree_in_one_package(wheel):
    library = (REPOSITORY / "tfrecog").rglob("*.*")
    kinds = (".py", ".txt", ".typed", ".html", ".css", ".zip")
    expected = {path.relative_to(REPOSITORY).as_posix() for path in library if path.suffix in kinds}
    for name, files in (
        ("pipelines", "*.py"),
        ("pipelines", "*.txt"),
        ("export", "*.py"),
        ("export", "*.html"),
        ("export", "*.css"),
        ("export", "*.js"),
        ("configs", "*.flags"),
    ):
        expected |= {f"tfrecog/{p.relative_to(REPOSITORY).as_posix()}" for p in (REPOSITORY / name).rglob(files)}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected


def test_the_archive_of_the_source_has_all_that_git_has(tmp_path):
    """And no key that lies in docker/tls. From it the wheel is built elsewhere."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no clone")
    files = [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]
    for name in files:
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(REPOSITORY / name)
    (tmp_path / "source/docker/tls").mkdir()
    (tmp_path / "source/docker/tls/key.pem").write_text("a secret")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        found = {name.partition("/")[2] for name in tar.getnames()}
    assert {*files} - {".gitignore"} <= found and "docker/tls/key.pem" not in found


def test_its_description_has_no_link_that_is_dead_elsewhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    assert "\n# tfrecog\n" in metadata and "Typing :: Typed" in metadata
    assert not re.findall(r"\]\((?!https://)", metadata)


def test_packages_of_the_working_directory_with_our_folders_names_break_no_command(installed):
    listed = installed("-m", "tfrecog")
    assert listed.returncode == 0, listed.stderr
    for package in ("tfrecog", "pipelines", "export"):
        assert all(f"  {name} " in listed.stdout for name in launcher.commands(package))
    built = installed("-m", "tfrecog", "scenes", "--out=data", "--split=train", "--count=2", "--jobs=2")
    assert built.returncode == 0, built.stderr
    assert (installed.folder / "data/dataset.json").is_file()


def test_commands_are_called_as_they_can_be_where_they_are_installed(installed):
    """There is no pipelines.check there, but that of somebody else."""
    told = installed("-m", "tfrecog", "any", "--help").stdout
    assert told.startswith("usage: tfrecog any --data=...") and "\n  tfrecog check --data=data/mine" in told
    wrong = installed("-m", "tfrecog", "check", "--data=nothing")
    assert wrong.returncode == 2 and "write it: `tfrecog any` for images" in wrong.stderr
    raised = installed("-c", "from tfrecog.cli.errors import UserError; raise UserError('see python -m export.onnx')")
    assert raised.stderr.endswith("UserError: see tfrecog onnx\n")
    assert "python -m" not in told + wrong.stderr and "pipelines" not in wrong.stderr
    assert re.fullmatch(r"tfrecog \d+\.\d+\.\d+\n", installed("-m", "tfrecog", "--version").stdout)


def test_an_installed_recipe_is_found_from_any_folder_and_a_copied_one_finds_its_parents(installed):
    recipe = next((REPOSITORY / "configs/coco").glob("mask_rcnn_r50_fpn_3x.flags"))
    (installed.folder / "mine.flags").write_text(recipe.read_text())
    code = (
        "import sys; from tfrecog.cli import flags; from tfrecog.config import Experiment\n"
        "one, other = (flags.load(Experiment(), name) for name in sys.argv[1:])\n"
        "assert one == other and one.detector.masks\n"
    )
    done = installed("-c", code, "configs/coco/mask_rcnn_r50_fpn_3x.flags", "mine.flags")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["tfrecog", "pipelines", "export"])
def test_a_file_at_the_top_of_a_package_is_a_command(package):
    """So that `ls` lists them; what is no command is in a folder with one idea."""
    library = {"tfrecog": {"__init__", "__main__", "config", "losses"}}.get(package, {"__init__", "__main__"})
    files = {path.stem for path in (REPOSITORY / package).glob("*.py")}
    assert files - library == set(launcher.commands(package))


def test_every_module_is_under_the_contract_of_imports():
    """A folder or command that no layer names would be under no rule; see `make check`."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = {name.strip() for one in contracts for layer in one.get("layers", ()) for name in layer.split(":")}
    for package in ("tfrecog", "pipelines", "export"):
        for path in (REPOSITORY / package).rglob("*.py"):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            module = parts[:-1] if parts[-1] == "__init__" else parts
            prefixes = {".".join(module[:n]) for n in range(2, len(module) + 1)}
            bare = len(module) == 1 or module[-1] == "__main__"
            helper = ".".join(module) in ("tfrecog.cli", "tfrecog.cli.renamed")
            assert bare or helper or prefixes & named, f"{path} is in no layer of pyproject.toml"
