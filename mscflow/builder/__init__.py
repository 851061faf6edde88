"""Clusters from code: cores, ligands and how they are put together."""

from mscflow.builder.catalogue import CATALOGUE, build
from mscflow.builder.ligands import LIGANDS
from mscflow.builder.precursors import precursor

__all__ = ["CATALOGUE", "LIGANDS", "build", "precursor"]
