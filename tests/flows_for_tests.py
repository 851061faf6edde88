"""Small flows that the executors' tests run; workers import this module."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from jobflow import Flow, Maker, OnMissing, Response, job

from mscflow.clock import Clock, out_of_time


@job
def add(a, b, pause=0.0):
    time.sleep(pause)
    return a + b


@job
def total(values):
    return sum(v for v in values if v is not None)


@job
def fail():
    raise RuntimeError("this job always fails")


@job
def once_there(path, value):
    """Fail as long as a file is missing."""
    if not Path(path).exists():
        raise RuntimeError(f"{path} is missing")
    return value


@job
def spread(values):
    return Response(replace=total(values))


@job
def fan(n):
    jobs = [add(i, 1) for i in range(n)]
    summary = total([j.output for j in jobs])
    return Response(replace=Flow([*jobs, summary], output=summary.output))


@job
def grow(n):
    return Response(output=n, addition=add(n, 100))


@job
def detoured(n):
    return Response(output=n, detour=add(n, 10))


@job
def again(n):
    return Response(replace=again(n - 1)) if n else n


@job
def stop_children():
    return Response(output=1, stop_children=True)


@job
def stop_flow():
    return Response(output=1, stop_jobflow=True)


@job(data="large")
def big(n):
    return {"large": list(range(n)), "small": n}


@job
def size(values):
    return len(values)


@job
def die_once(marker):
    """Kill the worker the first time, succeed the second."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@job
def die():
    """Kill the worker."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class FailingMaker(Maker):
    """Computes no species."""

    name: str = "relax"
    level: str = "gfn2-xtb"

    @job
    def make(self, cluster):
        raise RuntimeError(f"{cluster.formula} cannot be relaxed")


def chain(n, pause=0.0):
    jobs = [add(0, 1, pause)]
    for _ in range(n - 1):
        jobs.append(add(jobs[-1].output, 1, pause))
    return Flow(jobs, output=jobs[-1].output)


def tree(pause=0.05):
    """A flow with every kind of dynamics: chain, fan-out, replacement, addition, detour."""
    first = chain(5, pause)
    spread = fan(5)
    more = grow(first.output)
    aside = detoured(more.output)
    last = total([first.output, spread.output, more.output, aside.output])
    return Flow([first, spread, more, aside, last], output=last.output)


def forest(pause=0.05):
    """Two hundred jobs with every kind of dynamics."""
    return Flow([tree(pause) for _ in range(12)])


def tolerant():
    bad = fail()
    needs = add(bad.output, 1)
    copes = total([bad.output, 5])
    copes.config.on_missing_references = OnMissing.NONE
    return Flow([bad, needs, copes])


@job
def talk(text):
    print(text)


@job
def padding(n):
    return "x" * n


@job
def node(seconds: float) -> str:
    """Return the name of the Slurm node, after some time."""
    time.sleep(seconds)
    return os.environ.get("SLURMD_NODENAME", "none")


@job
def count_to(number: int, path: str, pause: float = 1.0) -> dict[str, int]:
    """Count slowly; the state is in a file, and the count stops before the process is ended."""
    state = Path(path)
    counted, blocks = map(int, state.read_text().split()) if state.exists() else (0, 0)
    blocks += 1
    clock = Clock()
    while counted < number:
        if clock.is_over():
            raise out_of_time(f"counted to {counted}", state)
        time.sleep(pause)
        counted += 1
        state.write_text(f"{counted} {blocks}")
    return {"counted": counted, "blocks": blocks}


@job
def ended(message):
    return message + "_end"


@job
def asks_for(what):
    return Response(output=11, **{what: ended("11")})


@job
def asks_for_failure(what):
    return Response(output=11, **{what: fail()})


@job
def replaced_by_two():
    first = ended("11")
    second = ended(first.output)
    return Response(
        output=11, replace=Flow([first, second], {"first": first.output, "second": second.output})
    )


@job
def first_of(outputs):
    return outputs["first"]


@job
def stores_data(message):
    return Response(output=message + "_end", stored_data={"a": "message"})


@job
def detour_that_stops():
    return Response(output=11, detour=stop_flow())


@job
def detour_of_detours(n):
    return Response(output=n, detour=detour_of_detours(n - 1) if n else None)
