"""Files that come with the package, which users call by name, beside their own, which they call by path."""

from difflib import get_close_matches
from pathlib import Path

from wire.errors import InputError


def shipped_in(folder: Path) -> list[str]:
    """The names of the TOML files there."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def find_text(name: str, folder: Path, what: str) -> tuple[Path, str]:
    """The path and text of a `what`: a file of `folder` by its name, or one by its path; raises `InputError`."""
    names = shipped_in(folder)
    path = folder / f"{name}.toml" if name in names else Path(name)
    try:
        return path, path.read_text("utf-8")
    except OSError as error:
        near = get_close_matches(name, names, n=1)
        hint = f", did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
        raise InputError(f"{name} is neither a {what} nor a file{hint}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no TOML: it is not written in UTF-8") from error
