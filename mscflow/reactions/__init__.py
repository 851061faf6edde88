"""Balanced reactions between clusters and their energies."""
