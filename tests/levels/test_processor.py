"""Kernels of OpenBLAS: named where PySCF's own would guess wrong, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mscflow.processor import VARIABLE, choose_kernels

AMD = "vendor_id : AuthenticAMD\nflags : fpu fma sse avx avx2 bmi\n"
OLD_AMD = "vendor_id : AuthenticAMD\nflags : fpu sse avx bmi\n"
INTEL = "vendor_id : GenuineIntel\nflags : fpu fma sse avx avx2 bmi\n"


@pytest.mark.parametrize(("text", "chosen"), [(AMD, "Haswell"), (OLD_AMD, None), (INTEL, None)])
def test_kernels_are_named_where_openblas_does_not_know_the_processor(text, chosen, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    choose_kernels(path)
    assert os.environ.get(VARIABLE) == chosen


def test_what_the_user_says_stays(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "Zen")
    path = tmp_path / "cpuinfo"
    path.write_text(AMD)
    choose_kernels(path)
    assert os.environ[VARIABLE] == "Zen"


def test_pyscf_gets_the_named_kernels():
    """The names are those of the OpenBLAS that PySCF loads."""
    script = (
        "import os; os.environ['OPENBLAS_CORETYPE'] = 'Haswell'\n"
        "import pyscf.lib\nfrom threadpoolctl import threadpool_info\n"
        "print({i['architecture'] for i in threadpool_info() if '/pyscf/lib/libopenblas' in i['filepath']})"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("{'Haswell'}", "set()")
