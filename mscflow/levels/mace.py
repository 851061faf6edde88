"""Machine-learned potentials of the MACE family through mace-torch."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mscflow.errors import InputError
from mscflow.levels.base import Estimate, Level
from mscflow.levels.domain import Domain, domain_file
from mscflow.levels.registry import file_checksum, find_model, require_known_file

if TYPE_CHECKING:
    import numpy as np
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster

SECONDS_PER_ATOM = 1e-3
"""Measured: about 40 ms for energy and forces of In4P(O2CH)9 with the shipped model, float64, two cores."""


class MACE(Level):
    """A MACE model (Batatia et al., NeurIPS 2022).

    Attributes
    ----------
    model
        Name of a shipped model, or path of a ``.model`` file.
    trusted_sha256
        Checksum of a file that is not shipped: without it such a file is not loaded.
    dtype
        Precision of the evaluation.
    """

    kind: Literal["mace"] = "mace"
    model: str = "msc-small"
    trusted_sha256: str | None = None
    dtype: Literal["float32", "float64"] = "float64"

    @property
    def text(self) -> str:
        """``mace:NAME``."""
        return f"mace:{self.model}"

    @property
    def hash(self) -> str:
        """SHA-256 of the settings and of the bytes of the model."""
        record = find_model(self.model)
        checksum = record.sha256 if record else file_checksum(Path(self.model))
        settings = self.model_copy(update={"model": checksum, "trusted_sha256": None})
        return settings._settings_hash()

    @property
    def description(self) -> str:
        """Model and what it was trained on."""
        record = find_model(self.model)
        taught = f", trained on {record.teacher}" if record else ""
        return f"MACE machine-learned potential {self.model}{taught} (mace-torch, {self.dtype})"

    def require(self, cluster: Cluster) -> list[str]:
        """Refuse elements the model was not trained on; warn where it ignores charge or spin."""
        record = find_model(self.model)
        if record is None:
            require_known_file(self.model, self.trusted_sha256)
            return []
        missing = sorted(set(cluster.symbols) - set(record.elements))
        if missing:
            raise InputError(
                f"model {self.model!r} was not trained on {', '.join(missing)} "
                f"(it covers {' '.join(record.elements)}): use gfn2-xtb or a DFT level"
            )
        if (cluster.charge or cluster.multiplicity != 1) and not record.reads_charge:
            return [
                f"{self.text} ignores charge {cluster.charge} and multiplicity {cluster.multiplicity} "
                f"of {cluster.name or cluster.formula}"
            ]
        return []

    def calculator(self, cluster: Cluster) -> Calculator:
        """Return mace-torch's ASE calculator; the model is loaded once per process."""
        self.require(cluster)
        path = require_known_file(self.model, self.trusted_sha256)
        return _load(path, file_checksum(path), self.dtype)

    def extrapolation(self, cluster: Cluster) -> np.ndarray | None:
        """Compare the network's features with those of its training frames; see `mscflow.levels.domain`."""
        path = domain_file(require_known_file(self.model, self.trusted_sha256))
        if not path.is_file():
            return None
        features = self.calculator(cluster).get_descriptors(cluster.to_ase())
        return Domain.load(path).relative_distance(cluster.symbols, features)

    def estimate(self, cluster: Cluster) -> Estimate:
        """Scale the measured time linearly with the number of atoms."""
        n = len(cluster)
        time_s = 0.02 + SECONDS_PER_ATOM * n
        return Estimate(
            n_atoms=n, memory_gib=0.6 + 5e-4 * n, time_s=time_s, route="machine-learned potential"
        )


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    """Drop what mace-torch says about the precision of the file while it loads."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@lru_cache(maxsize=4)
def _load(path: Path, _checksum: str, dtype: str) -> Any:
    os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # the file's checksum was verified
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet_logging():
        warnings.simplefilter("ignore")
        import torch
        from mace.calculators import MACECalculator

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return MACECalculator(model_paths=str(path), device=device, default_dtype=dtype)
