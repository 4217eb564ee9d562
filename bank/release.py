"""The example bank that a bundle names, checked against the CLIP that the bundle names.

Vectors of two CLIPs may have the same length but cannot be compared: a bank of another training run
would return nonsense without an error. So a bank stores the revision of its CLIP.
"""

import hashlib

from bank.examples import BankError
from bank.index import ExampleBank
from bank.vectors import MadeBy
from models.bundle import Bundle, HubPart


def clip_of(bundle: Bundle) -> MadeBy:
    """Return the identity of the bundle's CLIP: its commit, or a hash of its weights.

    Raises:
        BundleError: The CLIP is not on this machine.
    """
    part = bundle.clip
    if isinstance(part, HubPart):
        return MadeBy(part.repo, part.revision)
    with (bundle.folder(part) / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    return MadeBy(f"{bundle.name}/{part.path}", digest)


def load_bank(bundle: Bundle) -> ExampleBank:
    """Return the bundle's bank, which is empty if the bundle names none.

    Raises:
        BundleError: The bank or the CLIP is not on this machine.
        BankError: The bank is damaged, or was built with another CLIP.
    """
    folder = bundle.bank_folder()
    if folder is None:
        return ExampleBank.empty()
    bank = ExampleBank.load(folder)
    expected = clip_of(bundle)
    if bank.made_by.revision != expected.revision:
        raise BankError(
            f"{folder} was built with {bank.made_by.clip} at {bank.made_by.revision[:12]}, and the"
            f" bundle's CLIP is {expected.clip} at {expected.revision[:12]}; build the bank again"
        )
    return bank
