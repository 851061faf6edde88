"""mace-torch's ASE calculator for one cluster: its charge and spin reach the network.

Imported where it is used: mace-torch is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mscflow.levels.potentials.weights import facts, quiet

with quiet():
    from mace.calculators import MACECalculator

if TYPE_CHECKING:
    from ase import Atoms

    from mscflow.cluster import Cluster


class PotentialCalculator(MACECalculator):
    """Energy / eV, forces / eV/Å and Hessian / eV/Å² of a cluster with a MACE network.

    mace-torch reads charge and multiplicity from ``atoms.info`` and takes 0 and 1 where there are none, as
    in atoms that came through pymatgen. Here those of the cluster are used, whatever the atoms say.

    Parameters
    ----------
    network
        The network; shared, not copied.
    cluster
        Charge and multiplicity.
    head
        Output head; None: the only one, or the one called ``default``.
    dtype
        Precision of the network.
    """

    def __init__(self, network: Any, cluster: Cluster, head: str | None, dtype: str) -> None:
        self.implemented_properties: list[str] = []  # the base class would add to ASE's own list
        self.charge_and_spin = {"charge": float(cluster.charge), "spin": float(cluster.multiplicity)}
        with quiet():
            super().__init__(
                models=[network],
                device=str(next(network.parameters()).device),
                default_dtype=dtype,
                model_type=facts(network).model_type,
                **({} if head is None else {"head": head}),
            )

    def _atoms_to_batch(self, atoms: Atoms) -> Any:
        told = atoms.copy()
        told.info.update(self.charge_and_spin)
        return super()._atoms_to_batch(told)
