from pathlib import Path

import msgspec
import pytest

from wire.errors import ArtefactError, InputError
from wire.signed import Signed
from wire.signing import keys_in, load_public_key, new_keys, open_task, sign_task
from wire.task import Task

TASK = Task(task_version=3, head_prior={"coda": -0.5}, rollout_percent=10)


def test_a_signed_task_arrives_as_it_was() -> None:
    private, public = new_keys()
    assert open_task(sign_task(TASK, private), public) == TASK


def test_another_key_is_refused() -> None:
    with pytest.raises(ArtefactError, match="not signed with the cloud's key"):
        open_task(sign_task(TASK, new_keys()[0]), new_keys()[1])


def test_a_changed_document_is_refused() -> None:
    private, public = new_keys()
    signed = msgspec.msgpack.decode(sign_task(TASK, private), type=Signed)
    forged = Signed(signed.document.replace(b'"retrain_every":10', b'"retrain_every":99'), signed.signature)
    assert forged.document != signed.document
    with pytest.raises(ArtefactError, match="not signed"):
        open_task(msgspec.msgpack.encode(forged), public)


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"\x90"])
def test_what_is_no_task_is_refused(raw: bytes) -> None:
    with pytest.raises(ArtefactError, match="malformed"):
        open_task(raw, new_keys()[1])


def test_keys_are_made_once_and_the_private_one_is_the_owners_alone(tmp_path: Path) -> None:
    private, _ = keys_in(tmp_path / "keys")
    again, _ = keys_in(tmp_path / "keys")
    public = load_public_key(tmp_path / "keys" / "cloud.pub")
    assert open_task(sign_task(TASK, private), public) == open_task(sign_task(TASK, again), public)
    assert (tmp_path / "keys" / "cloud.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "zz", "abcd"])
def test_a_broken_key_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "cloud.pub").write_text(text)
    with pytest.raises(InputError, match=r"key file .*cloud\.pub"):
        load_public_key(tmp_path / "cloud.pub")
    with pytest.raises(InputError, match="`coda train-cloud` makes a new pair"):
        load_public_key(tmp_path / "nowhere")


def test_a_pair_of_which_devices_have_a_half_is_never_replaced(tmp_path: Path) -> None:
    keys_in(tmp_path)
    (tmp_path / "cloud.key").rename(tmp_path / "elsewhere")
    public = (tmp_path / "cloud.pub").read_bytes()
    with pytest.raises(InputError, match=r"cloud\.pub without its cloud\.key: put that back"):
        keys_in(tmp_path)
    assert (tmp_path / "cloud.pub").read_bytes() == public and not (tmp_path / "cloud.key").exists()


def test_keys_of_two_pairs_are_told(tmp_path: Path) -> None:
    keys_in(tmp_path / "a")
    keys_in(tmp_path / "b")
    (tmp_path / "a" / "cloud.pub").replace(tmp_path / "b" / "cloud.pub")
    with pytest.raises(InputError, match="does not belong to"):
        keys_in(tmp_path / "b")


def test_a_pair_whose_making_was_cut_off_is_completed(tmp_path: Path) -> None:
    private, _ = keys_in(tmp_path)
    (tmp_path / "cloud.pub").unlink()
    (tmp_path / ".cloud.pub.new").write_text("ab")
    assert keys_in(tmp_path)[0].private_bytes_raw() == private.private_bytes_raw()
    assert load_public_key(tmp_path / "cloud.pub") == private.public_key()
