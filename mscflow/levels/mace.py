"""Machine-learned potentials of the MACE family through mace-torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from mscflow.chemistry import suggest
from mscflow.errors import InputError
from mscflow.levels.base import Estimate, Level
from mscflow.levels.calibration import speed
from mscflow.levels.potentials.domain import Domain, domain_file
from mscflow.levels.potentials.registry import file_checksum, find_model, require_known_file
from mscflow.levels.potentials.weights import facts, load_network
from mscflow.processor import one_thread

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mscflow.cluster import Cluster
    from mscflow.levels.potentials.mace_lean import LeanMACE
    from mscflow.levels.potentials.mace_tables import Tables
    from mscflow.optimize.surface import Surface, Together

Precision = Literal["float32", "float64"]

LEAN_SECONDS_PER_ATOM = 1e-4
"""Measured for the shipped model, float64, two cores: 5, 15 and 85 ms for 41, 195 and 924 atoms."""

SECONDS_PER_ATOM = 1e-3
"""Measured for the same model by mace-torch: 40 ms for 41 atoms. Taken for all models that are not shipped,
since only loading one tells whether it is evaluated leanly."""


class MACE(Level):
    """A MACE model (Batatia et al., NeurIPS 2022).

    Attributes
    ----------
    model
        Name of a shipped, registered or foundation model (``mscflow models``), or path of a file.
    head
        Output head of a model that has several.
    trusted_sha256
        Checksum of a file that is on no record: without it such a file is not loaded.
    dtype
        Precision of the evaluation.
    """

    kind: Literal["mace"] = "mace"
    model: str = "msc-small"
    head: str | None = Field(default=None, min_length=1)
    trusted_sha256: str | None = None
    dtype: Precision = "float64"

    def trusting(self) -> MACE:
        """Return the level with the bytes of its file trusted, where they are on no record: for own files."""
        model = find_model(self.model)
        if model.sha256 is not None or not model.present:
            return self
        return self.model_copy(update={"trusted_sha256": file_checksum(model.path)})

    @property
    def text(self) -> str:
        """``mace:NAME`` or ``mace:NAME@HEAD``."""
        return f"mace:{self.model}" + (f"@{self.head}" if self.head else "")

    @property
    def hash(self) -> str:
        """SHA-256 of the settings and of the bytes of the model."""
        known = find_model(self.model)
        if known.sha256 is None and not known.present:
            require_known_file(self.model)  # says how to get it
        checksum = known.sha256 or file_checksum(known.path)
        settings = self.model_copy(update={"model": checksum, "trusted_sha256": None})
        return settings._settings_hash()

    @property
    def description(self) -> str:
        """Model and what it was trained on."""
        teacher = find_model(self.model).teacher
        taught = f", trained on {teacher}" if teacher else ""
        head = f", head {self.head}" if self.head else ""
        return f"MACE machine-learned potential {self.model}{head}{taught} (mace-torch, {self.dtype})"

    def require(self, cluster: Cluster) -> list[str]:
        """Refuse what the model cannot represent; warn where it ignores charge or spin.

        What is known of a model is checked before its file is needed. For a model that is not shipped, the
        file itself is asked for its elements, heads and inputs, once its checksum is known; a shipped one for
        its heads, where one is named.
        """
        known = find_model(self.model)
        if known.elements is not None:
            self._require_elements(cluster, known.elements)
        path = require_known_file(self.model, self.trusted_sha256)
        if known.source == "shipped":
            if self.head is not None:
                self._require_head(facts(load_network(path, file_checksum(path), self.dtype)).heads)
            return self._ignored(cluster, bool(known.reads_charge), bool(known.reads_spin))
        found = facts(load_network(path, file_checksum(path), self.dtype))
        self._require_elements(cluster, found.elements)
        self._require_head(found.heads)
        for what, value, limits in (
            ("charge", cluster.charge, found.charges),
            ("multiplicity", cluster.multiplicity, found.multiplicities),
        ):
            if limits is not None and not limits[0] <= value <= limits[1]:
                raise InputError(
                    f"model {self.model!r} has no {what} {value} (it covers {limits[0]} to {limits[1]}): "
                    "use gfn2-xtb or a DFT level"
                )
        return self._ignored(cluster, found.reads_charge, found.reads_spin)

    def _require_elements(self, cluster: Cluster, elements: Sequence[str]) -> None:
        missing = sorted(set(cluster.symbols) - set(elements))
        if missing:
            raise InputError(
                f"model {self.model!r} was not trained on {', '.join(missing)} "
                f"(it covers {' '.join(elements)}): use gfn2-xtb or a DFT level"
            )

    def _require_head(self, heads: Sequence[str]) -> None:
        chosen = self._head
        if chosen is None and len(heads) > 1 and "default" not in [head.lower() for head in heads]:
            raise InputError(
                f"model {self.model!r} has several heads: write mace:{self.model}@HEAD with one of "
                f"{', '.join(heads)}"
            )
        if chosen is not None and chosen not in heads:
            raise InputError(f"model {self.model!r} has no head {chosen!r}: {suggest(chosen, heads)}")

    def _ignored(self, cluster: Cluster, reads_charge: bool, reads_spin: bool) -> list[str]:
        ignored = [f"charge {cluster.charge}"] if cluster.charge and not reads_charge else []
        if cluster.multiplicity != 1 and not reads_spin:
            ignored.append(f"multiplicity {cluster.multiplicity}")
        if not ignored:
            return []
        return [f"{self.text} ignores {' and '.join(ignored)} of {cluster.name or cluster.formula}"]

    @property
    def _head(self) -> str | None:
        return self.head or find_model(self.model).head

    def calculator(self, cluster: Cluster) -> Calculator:
        """Return mace-torch's ASE calculator, told charge and spin; a model is loaded once per process."""
        self.require(cluster)
        path = require_known_file(self.model, self.trusted_sha256)
        network = load_network(path, file_checksum(path), self.dtype)
        from mscflow.levels.potentials.mace_torch import PotentialCalculator

        return PotentialCalculator(network, cluster, self._head, self.dtype)

    def surfaces(self, cluster: Cluster) -> list[Surface]:
        """Return single precision for the search, then the precision of the level.

        `mscflow.levels.potentials.mace_lean` evaluates models with scalar features, mace-torch others.
        """
        from mscflow.levels.surface import CalculatorSurface, LeanSurface

        self.require(cluster)
        precisions: list[Precision] = ["float32"] if self.dtype == "float32" else ["float32", "float64"]
        lean = self._lean([cluster], precisions)
        if lean is not None:
            return [LeanSurface(evaluator) for evaluator in lean]
        levels = [self.model_copy(update={"dtype": dtype}) for dtype in precisions]
        return [CalculatorSurface(cluster, level.calculator(cluster)) for level in levels]

    def together(self, clusters: Sequence[Cluster]) -> Together | None:
        """Return single precision for all clusters in one evaluation, for models with scalar features."""
        from mscflow.levels.surface import LeanBatch

        lean = self._lean(clusters, ["float32"])
        return None if lean is None else LeanBatch(lean[0])

    def _lean(self, clusters: Sequence[Cluster], precisions: Sequence[Precision]) -> list[LeanMACE] | None:
        """Return the lean evaluation of all clusters in each precision; None for models it cannot do."""
        from mscflow.levels.potentials.mace_lean import LeanMACE
        from mscflow.levels.potentials.mace_tables import UnsupportedModelError

        path = require_known_file(self.model, self.trusted_sha256)
        try:
            model, found = _load_tables(path, file_checksum(path))
            numbers = [cluster.numbers for cluster in clusters]
            return [LeanMACE(model, found, numbers, dtype) for dtype in precisions]
        except UnsupportedModelError:
            return None

    def features(self, cluster: Cluster, surface: Surface | None = None) -> np.ndarray:
        """Return the features of the network, shape (n_atoms, n_features).

        Parameters
        ----------
        cluster
            The cluster.
        surface
            One of `surfaces`, on which they cost nothing where it was evaluated last.
        """
        from mscflow.levels.surface import LeanSurface

        if isinstance(surface, LeanSurface):
            return surface.features(cluster.positions)
        self.require(cluster)
        lean = self._lean([cluster], [self.dtype])
        if lean is not None:
            return lean[0].features(cluster.positions)
        return np.asarray(self.calculator(cluster).get_descriptors(cluster.to_ase()))

    def extrapolation(self, cluster: Cluster, surface: Surface | None = None) -> np.ndarray | None:
        """Compare features with those of the training frames; see `mscflow.levels.potentials.domain`."""
        path = domain_file(require_known_file(self.model, self.trusted_sha256))
        if not path.is_file():
            return None
        features = self.features(cluster, surface)
        domain = _load_domain(path, file_checksum(path))
        with one_thread():  # PyTorch's threads still spin
            return domain.relative_distance(cluster.symbols, features)

    def estimate(self, cluster: Cluster) -> Estimate:
        """Scale the measured time linearly with the number of atoms."""
        n = len(cluster)
        lean = find_model(self.model).source == "shipped"
        time_s = speed("MACE") * (0.001 + LEAN_SECONDS_PER_ATOM * n if lean else 0.02 + SECONDS_PER_ATOM * n)
        return Estimate(
            n_atoms=n, memory_gib=0.6 + 5e-4 * n, time_s=time_s, route="machine-learned potential"
        )


@lru_cache(maxsize=4)
def _load_domain(path: Path, _checksum: str) -> Domain:
    return Domain.load(path)


@lru_cache(maxsize=4)
def _load_tables(path: Path, checksum: str) -> tuple[Any, Tables]:
    from mscflow.levels.potentials.mace_tables import tables

    model = load_network(path, checksum, "float64")
    return model, tables(model)
