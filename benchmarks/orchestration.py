"""What a job costs beyond its own work: ours (durable, in worker processes) and jobflow's ``run_locally``.

Chains (each job needs the one before) and fans (jobs that need nobody, and one that needs them all) of jobs
that add two numbers. Time is counted from the end of the first job, and what comes before it (imports,
checking and recording the flow, starting a worker) apart. Memory is the largest resident size of the driver;
maggma's MontyStore is left out where it would take hours.

    pip install montydb
    python benchmarks/orchestration.py [LARGEST]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jobflow import Flow, JobStore, job, run_locally
from maggma.stores import MemoryStore
from maggma.stores.mongolike import MontyStore

import mscflow

SIZES = (100, 1_000, 10_000)
LARGEST_MONTY = 1_000


@job
def add(a: int, b: int) -> int:
    """Return a sum."""
    return a + b


@job
def total(values: list[int]) -> int:
    """Return a sum."""
    return sum(values)


def chain(n: int) -> Flow:
    """Return jobs that need each the one before."""
    jobs = [add(0, 1)]
    for _ in range(n - 1):
        jobs.append(add(jobs[-1].output, 1))
    return Flow(jobs, output=jobs[-1].output)


def fan(n: int) -> Flow:
    """Return jobs that need nobody, and one that needs them all."""
    jobs = [add(i, 1) for i in range(n - 1)]
    last = total([one.output for one in jobs])
    return Flow([*jobs, last], output=last.output)


SHAPES = {"chain": chain, "fan": fan}


def monty(directory: Path) -> JobStore:
    """Return maggma's store in files."""
    return JobStore(MontyStore("outputs", database_path=str(directory), storage="sqlite"))


def measure(engine: str, shape: str, n: int) -> None:
    """Run one flow and print time and memory."""
    flow = SHAPES[shape](n)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        started = time.perf_counter()
        first = 0.0

        def note(event: mscflow.executors.JobEvent) -> None:
            nonlocal first
            if event.row.state == "done":
                first = first or time.perf_counter()

        if engine == "ours":
            responses = mscflow.run(flow, dir=directory, on_event=note)
        else:
            store = JobStore(MemoryStore()) if engine == "MemoryStore" else monty(directory)
            responses = run_locally(flow, store=store, log=False, root_dir=directory)
        ended = time.perf_counter()
        first = first or started
    if responses[flow.job_uuids[-1]][1].output != (n if shape == "chain" else n * (n - 1) // 2):
        sys.exit(f"{engine}: wrong result of {shape} of {n}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{1000 * (ended - first) / n:.2f} {first - started:.1f} {memory:.0f}", flush=True)


def main() -> None:
    """Print the table; each measurement is a process of its own."""
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        return
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    print("| shape | jobs | engine | ms / job | against MemoryStore | start / s | memory / MB |")
    print("|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        for n in (size for size in SIZES if size <= largest):
            reference = None
            for engine in ("MemoryStore", "MontyStore", "ours"):
                if engine == "MontyStore" and n > LARGEST_MONTY:
                    continue
                command = [sys.executable, __file__, engine, shape, str(n)]
                answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                cost, start, memory = map(float, answer.split())
                reference = reference or cost
                ratio = f"{cost / reference:.1f}"
                print(
                    f"| {shape} | {n} | {engine} | {cost:.1f} | {ratio} | {start:.1f} | {memory:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
