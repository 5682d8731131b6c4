"""What `coda devices enrol` leaves in its folder; tests/integration/test_enrolled.py has mosquitto live by it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.enrolment.enrolment import Enrolment
from wire.errors import InputError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTS = ("127.0.0.1", "broker.local")


def enrolled(folder: Path) -> Enrolment:
    return Enrolment(folder, NOW, hosts=HOSTS, days=30)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_who_is_enrolled_already_keeps_what_it_has(tmp_path: Path) -> None:
    assert enrolled(tmp_path).add(["ann", "b/ob", "ann"]) == 2
    before = contents(tmp_path)
    assert enrolled(tmp_path).add(["ann", "cy"]) == 1
    after = contents(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"passwords", *(f"devices/cy{suffix}" for suffix in (".crt", ".key", ".password"))}


def test_what_an_interrupted_run_left_out_is_made(tmp_path: Path) -> None:
    enrolled(tmp_path).add(["ann"])
    (tmp_path / "devices" / "ann.crt").unlink()
    assert enrolled(tmp_path).add(["ann"]) == 1
    assert (tmp_path / "devices" / "ann.crt").exists()


def test_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    enrolled(tmp_path).add(["ann"])
    secret = [*tmp_path.rglob("*.key"), *tmp_path.rglob("*.password"), tmp_path / "passwords"]
    assert len(secret) == 9
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_a_name_too_long_for_a_certificate_gets_a_password_and_one_too_long_for_a_file_a_line(tmp_path: Path) -> None:
    enrolled(tmp_path).add(["u" * 100])
    assert {path.suffix for path in (tmp_path / "devices").iterdir()} == {".password"}
    with pytest.raises(InputError, match="1 to 200 bytes"):
        enrolled(tmp_path).add(["u" * 201])


def test_no_user_passes_for_the_tunnel(tmp_path: Path) -> None:
    enrolled(tmp_path).add(["tunnel@cloud", "tunnel"])
    names = {path.stem for path in (tmp_path / "devices").iterdir()}
    assert names == {"tunnel%40cloud", "tunnel"}


@pytest.mark.parametrize("broken", ["ca.key", "ca.crt", "passwords"])
def test_a_damaged_file_is_one_clear_line_and_nothing_is_replaced(tmp_path: Path, broken: str) -> None:
    enrolled(tmp_path).add(["ann"])
    (tmp_path / broken).write_bytes(b"\xff")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        enrolled(tmp_path)
    assert contents(tmp_path) == before


def test_nobody_is_removed_who_was_not_enrolled(tmp_path: Path) -> None:
    enrolled(tmp_path).add(["ann"])
    with pytest.raises(InputError, match="no device bob"):
        enrolled(tmp_path).remove(["ann", "bob"])
    assert (tmp_path / "devices" / "ann.key").exists()
