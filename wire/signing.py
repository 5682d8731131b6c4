"""Signed models and tasks: a device computes only with what its cloud signed (Ed25519)."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wire.durable import make_folder, write_durably
from wire.errors import InputError
from wire.malformed import Malformed
from wire.model import MESSAGE_BYTES
from wire.reason import Reason
from wire.signed import Signed, encode_signed, signed_decoder
from wire.task import TASK_BYTES, Task, decode_task, encode_task

PRIVATE, PUBLIC = "cloud.key", "cloud.pub"
_KEY_BYTES = 32
_GET_IT = (
    "say where it is (--keys, --cloud-key), or put it back from a copy; `coda train-cloud` makes a new pair in a "
    "folder without keys"
)
_task, _model = signed_decoder("task", TASK_BYTES), signed_decoder("model", MESSAGE_BYTES)


def sign_task(task: Task, private: Ed25519PrivateKey) -> bytes:
    """The task as it travels."""
    return _sign(encode_task(task), private)


def open_task(raw: bytes, public: Ed25519PublicKey | None) -> Task:
    """The task in `raw`; raises `Malformed` when it is none or not signed with the key of `public` (None: any)."""
    return decode_task(_opened(_task(raw), public, "task"))


def sign_model(message: bytes, private: Ed25519PrivateKey) -> bytes:
    """A cloud model's message (`wire.model`) as it travels."""
    return _sign(message, private)


def open_model(raw: bytes, public: Ed25519PublicKey | None) -> bytes:
    """The model's message in `raw`, not decoded; raises `Malformed` when it is not signed with the key of `public`
    (None: any).
    """
    return _opened(_model(raw), public, "model")


def _sign(document: bytes, private: Ed25519PrivateKey) -> bytes:
    return encode_signed(Signed(document, private.sign(document)))


def _opened(signed: Signed, public: Ed25519PublicKey | None, kind: str) -> bytes:
    try:
        if public is not None:
            public.verify(signed.signature, signed.document)
    except InvalidSignature:
        raise Malformed(kind, Reason.UNSIGNED, "it is not signed with the cloud's key: check the key file") from None
    return signed.document


def new_keys() -> tuple[Ed25519PrivateKey, Ed25519PublicKey]:
    """A fresh pair of keys."""
    private = Ed25519PrivateKey.generate()
    return private, private.public_key()


def keys_in(folder: Path) -> tuple[Ed25519PrivateKey, Ed25519PublicKey]:
    """The pair in `folder` (`cloud.key` for the trainer alone, `cloud.pub` for devices), made on first use.

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
