"""LiteRT.js, Google's runtime of TFLite files in browsers: two packages of npm, of one version, by their digests."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tfrecog.cli.errors import UserError

VERSION = "2.5.3"
# SHA-512 of the archives, as npm has them.
DIGESTS = {
    "core": "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    "wasm-utils": "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
}
NAMES = tuple(f"@litertjs/{name}@{VERSION}" for name in DIGESTS)
IMPORTS = '{"imports": {"@litertjs/wasm-utils": "./litert/wasm-utils.js"}}'  # of the page: where `core` finds the other
# File in the folder → package, and path in its archive. Builds: for old browsers, for WebGPU, with threads.
_BUILDS = ("wasm", "wasm_compat", "wasm_jspi", "wasm_threaded")
FILES = {
    "core.js": ("core", "dist/index.js"),
    "wasm-utils.js": ("wasm-utils", "dist/index.js"),
    **{
        f"wasm/litert_{build}_internal.{end}": ("core", f"wasm/litert_{build}_internal.{end}")
        for build in _BUILDS
        for end in ("js", "wasm")
    },
}
_NOTICE = (
    f"LiteRT.js {VERSION} ({', '.join(NAMES)}), of Google LLC, under the Apache License 2.0\n"
    "https://github.com/google-ai-edge/LiteRT https://www.apache.org/licenses/LICENSE-2.0\n"
)
_TYPED = f"npm pack {' '.join(NAMES)}"
_MINUTES = 10


def files(folder: str = "") -> dict[str, bytes]:
    """The files of LiteRT.js that a page needs, by name.

    Args:
        folder: where the archives of NAMES lie. Empty: npm downloads them, or has them.

    Raises:
        UserError: They are not to be had, or are not those of this version.
    """
    if folder:
        archives = {name: _read(Path(folder).expanduser(), name) for name in DIGESTS}
    else:
        with tempfile.TemporaryDirectory() as downloads:
            _pack(downloads)
            archives = {name: _read(Path(downloads), name) for name in DIGESTS}
    found = {"NOTICE": _NOTICE.encode()}
    for package, content in archives.items():
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for name, (owner, member) in FILES.items():
                if owner == package:
                    found[name] = _member(archive, member)
    return found


def path(folder: Path, package: str) -> Path:
    """The archive of a package in a folder, as npm calls it."""
    return folder / f"litertjs-{package}-{VERSION}.tgz"


def digest(content: bytes) -> str:
    """As npm writes it."""
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


def _read(folder: Path, package: str) -> bytes:
    archive = path(folder, package)
    if not archive.is_file():
        raise UserError(f"{archive} is missing: type `{_TYPED}` in that folder, and name it by --litert")
    content = archive.read_bytes()
    if digest(content) != DIGESTS[package]:
        raise UserError(
            f"{archive} is not the archive of LiteRT.js {VERSION}: its SHA-512 is not {DIGESTS[package]}. Delete "
            f"it and type `{_TYPED}`"
        )
    return content


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/{name}")
    assert file is not None  # By the digest it is there.
    return file.read()


def _pack(folder: str) -> None:
    elsewhere = f"type `{_TYPED}` where there is a network, and name the folder of its two files by --litert"
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"npm, which has LiteRT.js, is not installed: install Node.js, or {elsewhere}")
    command = [npm, "pack", "--silent", "--prefer-offline", "--pack-destination", folder, *NAMES]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60 * _MINUTES)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"npm did not download LiteRT.js in {_MINUTES} minutes: try again, or {elsewhere}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise UserError(f"npm cannot download LiteRT.js ({lines[0]}): {elsewhere}")
