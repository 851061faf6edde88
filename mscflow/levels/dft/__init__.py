"""Density functional theory: fields, gradients and excitations on PySCF's integrals."""
