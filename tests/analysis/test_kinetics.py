"""Rates and isosbestic points of reactions whose constants are known."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from mscflow.analysis.kinetics import compare, isosbestic_points, rate, read_series
from mscflow.errors import InputError

TIMES = np.linspace(0, 60, 40)
WAVELENGTHS = np.linspace(350, 600, 501)


def decay(k: float, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    return 0.2 + 0.6 * np.exp(-k * TIMES) + noise * np.random.default_rng(seed).normal(size=TIMES.size)


def band(centre: float, width: float = 25.0) -> np.ndarray:
    return np.exp(-(((WAVELENGTHS - centre) / width) ** 2))


def test_an_exact_exponential_gives_its_constant():
    found = rate(TIMES, decay(0.08))
    assert found.constant == pytest.approx(0.08, rel=1e-6)
    assert (found.first, found.last) == pytest.approx((0.8, 0.2), abs=1e-6)
    assert found.half_life == pytest.approx(np.log(2) / 0.08)


def test_a_growth_is_fitted_as_well_as_a_decay():
    assert rate(TIMES, 1 - decay(0.05)).constant == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("start", [-500.0, 500.0, 1e6])
def test_the_clock_may_start_at_any_time(start):
    found, shifted = rate(TIMES, decay(0.08, 0.01)), rate(TIMES + start, decay(0.08, 0.01))
    assert shifted.constant == pytest.approx(found.constant, rel=1e-4)
    assert shifted.interval == pytest.approx(found.interval, rel=1e-3)
    assert shifted.first == pytest.approx(found.first, abs=1e-4)


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for seed in range(100):
        low, high = rate(TIMES, decay(0.08, 0.01, seed)).interval
        covered += low < 0.08 < high
    assert covered >= 88  # 95.4 % are promised; fewer than 88 of 100 have a chance of one in a thousand


@pytest.mark.parametrize(
    ("times", "absorbances", "message"),
    [
        ([0, 1, 2], [1, 2, 3], "5 or more"),
        (range(6), range(5), "5 or more"),
        (range(6), [1] * 6, "nothing changes"),
        (range(6), [1, 2, 3, 4, 5, np.nan], "finite"),
        ([0, 1, 2, 3, 4, np.inf], range(6), "finite"),
    ],
)
def test_too_few_data_are_one_line(times, absorbances, message):
    with pytest.raises(InputError, match=message):
        rate(np.array(times), np.array(absorbances))


def test_two_species_share_a_crossing_and_a_third_smears_it():
    fractions = np.linspace(0, 1, 9)[:, None]
    two = (1 - fractions) * band(420) + fractions * 0.8 * band(470)
    ((wavelength, spread),) = isosbestic_points(WAVELENGTHS, two)
    index = np.abs(WAVELENGTHS - wavelength).argmin()
    assert band(420)[index] == pytest.approx(0.8 * band(470)[index], rel=0.05)
    assert spread < 0.05
    third = two + 0.5 * fractions * (1 - fractions) * band(445)
    assert isosbestic_points(WAVELENGTHS, third) == []


def test_a_file_of_several_samples_is_read_and_compared(tmp_path):
    path = tmp_path / "series.csv"
    rows = zip(TIMES, decay(0.02), decay(0.1), strict=True)
    lines = ["# 500 nm", "t/min, tBu, 3;5-Me2".replace(";", ""), *(f"{t}, {a}, {b}" for t, a, b in rows)]
    path.write_text("\n".join([*lines[:-1], f"{TIMES[-1]}, , {decay(0.1)[-1]}"]))
    command = [sys.executable, "-m", "mscflow", "rates", str(path), "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [row["sample"] for row in found] == ["tBu", "35-Me2"]
    assert [row["k"] for row in found] == pytest.approx([0.02, 0.1], rel=1e-4)


@pytest.mark.parametrize(
    ("header", "separator", "comma"),
    [
        ("time / s,PhAc,3-Me", ",", False),
        ("time / s;PhAc;3-Me", ";", True),
        ("time / s\tPhAc\t3-Me", "\t", True),
        ("time PhAc 3-Me", " ", False),
    ],
)
def test_one_separator_holds_for_a_file(tmp_path, header, separator, comma):
    path = tmp_path / "series.csv"
    table = zip(TIMES, decay(0.02), decay(0.1), strict=True)
    rows = [separator.join(f"{x:.4f}" for x in row) for row in table]
    path.write_text("\n".join([header, *(row.replace(".", ",") if comma else row for row in rows)]))
    found = read_series(path)
    assert list(found) == ["PhAc", "3-Me"]
    for name, k in (("PhAc", 0.02), ("3-Me", 0.1)):
        np.testing.assert_allclose(found[name], (TIMES, decay(k)), atol=1e-4)


def test_a_short_sample_is_named_with_its_file(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("t,PhAc,3-Me\n" + "\n".join(f"{t},{1 / (1 + t)}," for t in range(9)) + "\n9,0.1,0.5\n")
    command = [sys.executable, "-m", "mscflow", "rates", path.name]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 2
    assert "series.csv: 3-Me: give 5 or more times" in process.stderr


def test_what_the_data_do_not_determine_is_said(tmp_path):
    path = tmp_path / "series.csv"
    noise = 0.5 + 0.01 * np.random.default_rng(1).normal(size=TIMES.size)
    path.write_text("t,flat\n" + "\n".join(f"{t},{a}" for t, a in zip(TIMES, noise, strict=True)))
    assert rate(TIMES, noise).interval == (0.0, np.inf)
    command = [sys.executable, "-m", "mscflow", "rates", str(path)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "flat: k is not determined" in process.stderr


@pytest.mark.parametrize("text", ["", "1, 2\n3, 4\n", "t, a\n1, x\n", "t\n1\n2\n"])
def test_a_file_without_header_or_numbers_is_refused(tmp_path, text):
    path = tmp_path / "series.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="time first"):
        read_series(path)


def test_a_series_is_ranked():
    table = compare(
        {name: (TIMES, decay(k)) for name, k in (("tBu", 0.02), ("3,5-Me2", 0.1), ("PhAc", 0.04))}
    )
    assert list(table.index) == ["tBu", "PhAc", "3,5-Me2"]
    assert table["relative"].iloc[-1] == pytest.approx(5, rel=1e-4)
