"""What libraries of linear algebra are told: their kernels, and how many threads they take."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

from threadpoolctl import ThreadpoolController

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


def one_thread() -> AbstractContextManager[object]:
    """Keep NumPy and SciPy to one thread: short vectors take far longer with more, most of all on busy cores.

    It holds for the libraries that are loaded when it is called for the first time: PySCF's, which may come
    later, keeps its threads.
    """
    context: AbstractContextManager[object] = _loaded().limit(limits=1, user_api="blas")
    return context


@cache
def _loaded() -> ThreadpoolController:
    return ThreadpoolController()
