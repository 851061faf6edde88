"""Clusters from code: cores, ligands and how they are put together."""

from mscflow.builder.arrangements import build_different
from mscflow.builder.catalogue import CATALOGUE, build
from mscflow.builder.ligands import LIGANDS, ligand_template
from mscflow.builder.precursors import precursor

__all__ = ["CATALOGUE", "LIGANDS", "build", "build_different", "ligand_template", "precursor"]
