"""Minimisation with chemistry in it: a model Hessian, and L-BFGS on top of it."""
