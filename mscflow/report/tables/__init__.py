"""Tables of the report, from result documents only."""

from mscflow.report.results import CampaignResults
from mscflow.report.tables import electronic, energies, record, structure
from mscflow.report.tables.table import Table

__all__ = ["Table", "all_tables"]


def all_tables(results: CampaignResults) -> list[Table]:
    """Return the tables of all parts that are there."""
    makers = (
        structure.separations_table,
        structure.coordination_table,
        structure.binding_table,
        electronic.scf_table,
        electronic.charges_table,
        electronic.bond_orders_table,
        structure.modes_table,
        energies.exchange_table,
        energies.funnel_table,
        energies.spread_table,
        energies.stability_table,
        energies.species_table,
        energies.reactions_table,
        energies.reaction_species_table,
        electronic.states_table,
        record.levels_table,
        record.jobs_table,
        record.versions_table,
    )
    return [table for make in makers if (table := make(results)) is not None]
