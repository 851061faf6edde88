"""The calculations: plain functions from a cluster and a level to a result document."""
