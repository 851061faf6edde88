"""Fast kernels for PySCF on processors that its OpenBLAS does not know."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"


def choose_kernels(cpu_info: Path = Path("/proc/cpuinfo")) -> None:
    """Name the kernels of OpenBLAS in the environment, unless they are named.

    The wheel of PySCF 2.14 carries OpenBLAS 0.3.3 of 2018, which takes AMD's processors since then for one of
    2007: a product of matrices takes three times as long as with the kernels for AVX2. It has to be called
    before PySCF is imported; processes that start later inherit the choice.

    Parameters
    ----------
    cpu_info
        What Linux says of the processor.
    """
    if VARIABLE in os.environ or not cpu_info.is_file():
        return
    text = cpu_info.read_text(errors="replace")
    if "AuthenticAMD" in text and " avx2 " in text and " fma " in text:
        os.environ[VARIABLE] = "Haswell"
