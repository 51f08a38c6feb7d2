"""The artefact: a directory with a manifest, the program, its library, the weights and the model."""

from pilotfish.bundle.directory import MANIFEST, fingerprint, open_checked
from pilotfish.bundle.manifest import FileEntry, Manifest, Sizes, TensorEntry, dumps
from pilotfish.bundle.names import check_name
from pilotfish.bundle.staging import replace_file, staged

__all__ = [
    "MANIFEST",
    "FileEntry",
    "Manifest",
    "Sizes",
    "TensorEntry",
    "check_name",
    "dumps",
    "fingerprint",
    "open_checked",
    "replace_file",
    "staged",
]
