"""Signed task documents: a device runs only computation that its cloud signed (Ed25519)."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wire.durable import make_folder, write_durably
from wire.errors import InputError
from wire.malformed import Malformed
from wire.reason import Reason
from wire.task import Task, decode_signed, decode_task, encode_signed, encode_task

PRIVATE, PUBLIC = "task.key", "task.pub"
_KEY_BYTES = 32
_GET_IT = "put it back from a copy; `coda train-cloud` makes a new pair in a folder without keys"


def sign_task(task: Task, private: Ed25519PrivateKey) -> bytes:
    """The task as it travels: the document's exact bytes and a signature over them."""
    document = encode_task(task)
    return encode_signed(document, private.sign(document))


def open_task(raw: bytes, public: Ed25519PublicKey) -> Task:
    """The task in `raw`; raises `Malformed` when it is none or not signed with the key of `public`."""
    signed = decode_signed(raw)
    try:
        public.verify(signed.signature, signed.document)
    except InvalidSignature:
        raise Malformed("task", Reason.UNSIGNED, "it is not signed with the fleet's key: check the key file") from None
    return decode_task(signed.document)


def new_keys() -> tuple[Ed25519PrivateKey, Ed25519PublicKey]:
    """A fresh pair of keys."""
    private = Ed25519PrivateKey.generate()
    return private, private.public_key()


def keys_in(folder: Path) -> tuple[Ed25519PrivateKey, Ed25519PublicKey]:
    """The pair in `folder` (`task.key` for the trainer alone, `task.pub` for devices), made on first use.

    A key that is there is never replaced: devices that have it would refuse everything from then on. Raises
    `InputError` and `StorageError`.
    """
    make_folder(folder)
    if not (folder / PRIVATE).exists():
        if (folder / PUBLIC).exists():
            raise InputError(
                f"{folder} has {PUBLIC} without its {PRIVATE}: put that back, or move {PUBLIC} away for a new pair, "
                "whose public key devices must be given"
            )
        write_durably(folder / PRIVATE, _as_text(new_keys()[0].private_bytes_raw()), mode=0o600)
    private = load_private_key(folder / PRIVATE)
    public = private.public_key()
    if not (folder / PUBLIC).exists():
        write_durably(folder / PUBLIC, _as_text(public.public_bytes_raw()))
    elif load_public_key(folder / PUBLIC) != public:
        raise InputError(f"{PUBLIC} in {folder} does not belong to {PRIVATE} there: move the one away that is wrong")
    return private, public


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file of hex digits; raises `InputError`."""
    return Ed25519PrivateKey.from_private_bytes(_key_bytes(path))


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file of hex digits; raises `InputError`."""
    return Ed25519PublicKey.from_public_bytes(_key_bytes(path))


def _key_bytes(path: Path) -> bytes:
    try:
        raw = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the key file {path} ({error}): {_GET_IT}") from error
    if len(raw) != _KEY_BYTES:
        raise InputError(f"the key file {path} holds {len(raw)} bytes instead of {_KEY_BYTES}: {_GET_IT}")
    return raw


def _as_text(key: bytes) -> bytes:
    return key.hex().encode() + b"\n"
