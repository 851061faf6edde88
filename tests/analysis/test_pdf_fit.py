"""A measured function finds its structure among several, whatever its scale, strain and noise."""

import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from mscflow.analysis.pdf_fit import MeasuredPDF, fit_pdf, rank, read_pdf
from mscflow.analysis.scattering import pdf
from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.errors import InputError
from mscflow.topology import topology

NAMES = ("Cd35Se20", "Cd21Se20", "Cd14Se13", "Cd33Se33", "Cd34Se34", "Cd56Se35")
R = {"rmin": 1.5, "rmax": 14.0, "rstep": 0.05}


@cache
def core(name: str) -> Cluster:
    """The cluster without its ligands: they hardly scatter."""
    whole = build(name)
    return whole.select(topology(whole).skeleton, charge=0)


def measured(cluster: Cluster, seed: int, strain: float = 0.0, noise: float = 0.15) -> MeasuredPDF:
    strained = cluster.replace(positions=(1 + strain) * cluster.positions)
    found = pdf(strained, **R, u_iso=0.008)
    wiggles = np.random.default_rng(seed).normal(scale=noise * found.g.std(), size=found.g.shape)
    return MeasuredPDF(found.r, 0.4 * (found.g + wiggles))


def test_parameters_are_found_again():
    cluster = core("Cd21Se20")
    fit = fit_pdf(cluster, measured(cluster, 0, strain=0.012, noise=0.0))
    assert fit.rw < 0.01
    assert fit.strain == pytest.approx(0.012, abs=3e-4)
    assert fit.u_iso == pytest.approx(0.008, abs=3e-4)
    assert fit.scale == pytest.approx(0.4, rel=0.01)


def test_a_structure_that_cannot_be_that_of_the_data_is_named():
    cluster = core("Cd14Se13")
    (problem,) = fit_pdf(cluster, measured(cluster, 0, strain=0.08, noise=0.0)).problems
    assert "strain at its bound: another structure" in problem
    data = measured(cluster, 0, noise=0.0)
    upside_down = fit_pdf(cluster, MeasuredPDF(data.r, -data.g))
    assert upside_down.scale == 0
    assert upside_down.rw == pytest.approx(1)
    assert any("scale 0" in line for line in upside_down.problems)
    assert fit_pdf(cluster, data).problems == []


@pytest.mark.parametrize("name", NAMES)
def test_noisy_data_find_their_structure(name):
    candidates = {other: core(other) for other in NAMES}
    fits = rank(candidates, measured(candidates[name], seed=len(name), strain=-0.01))
    assert next(iter(fits)) == name
    residuals = [fit.rw for fit in fits.values()]
    assert residuals == sorted(residuals)


def test_a_file_is_read(tmp_path):
    found = pdf(core("Cd14Se13"), **R)
    path = tmp_path / "data.gr"
    path.write_text("#L r G\n" + "\n".join(f"{r:.3f} {g:.6f}" for r, g in zip(found.r, found.g, strict=True)))
    data = read_pdf(path, qmax=22.0)
    np.testing.assert_allclose(data.g, found.g, atol=1e-6)
    assert data.qmax == 22.0
    path.write_text("nothing")
    with pytest.raises(InputError, match="a PDF is lines of r"):
        read_pdf(path)


def test_a_rounded_grid_has_no_strain(tmp_path):
    """Distances a Nyquist step π/qmax apart, printed with three decimals."""
    cluster = core("Cd21Se20")
    found = pdf(cluster, rmin=1.5, rmax=14.0, rstep=np.pi / 25, u_iso=0.008)
    path = tmp_path / "data.gr"
    path.write_text("\n".join(f"{r:.3f} {g:.6f}" for r, g in zip(found.r, found.g, strict=True)))
    fit = fit_pdf(cluster, read_pdf(path))
    assert abs(fit.strain) < 2e-4
    assert fit.rw < 0.03


def test_uneven_distances_are_refused():
    for r in ([1.0, 2.0, 4.0], [3.0, 2.0, 1.0], [1.0, 2.0]):
        with pytest.raises(InputError, match="evenly spaced"):
            MeasuredPDF(np.array(r), np.ones(len(r)))


@pytest.mark.parametrize("g", [[0.0, 0.0, 0.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0]])
def test_a_function_that_says_nothing_is_refused(g):
    with pytest.raises(InputError, match="finite values of G"):
        MeasuredPDF(np.array([1.0, 2.0, 3.0]), np.array(g))


def test_a_neutron_measurement_is_ranked_as_one(tmp_path):
    how = {"qmin": 1.0, "qmax": 18.0, "qdamp": 0.02, "radiation": "neutron"}
    found = pdf(build("Cd14Se13"), **R, **how)
    rows = [f"{r:.3f} {g:.6f}" for r, g in zip(found.r, found.g, strict=True)]
    (tmp_path / "data.gr").write_text("\n".join(rows))
    assert fit_pdf(build("Cd14Se13"), read_pdf(tmp_path / "data.gr", **how)).rw < 1e-3
    options = [word for name, value in how.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "mscflow", "rank", "data.gr", "Cd14Se13"]
    right = subprocess.run([*command, *options], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "neutron, Q from 1 to 18 Å⁻¹, qdamp 0.02 Å⁻¹" in " ".join(right.stdout.split())
    usual = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(usual.stdout)[0]["Rw"] > 0.05
