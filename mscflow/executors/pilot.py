"""Jobs in pilot blocks of a batch system: Parsl asks for blocks, whose workers run jobs in own processes.

Blocks that are lost (cancelled, out of time, a dead node) cost a job another attempt in another block; three
that fail in a row end the run, which can be resumed. A driver that is killed leaves blocks behind; the next
one on the same directory finds them by their mark and cancels them.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import Future
from pathlib import Path
from string import Template
from typing import Any

from mscflow.errors import CalculationError
from mscflow.executors.local import LocalExecutor, WorkerDiedError
from mscflow.executors.site import Pool, Site
from mscflow.whole_file import write_whole

RECORD_FILE = "blocks.json"
"""What a later driver needs to find blocks that this one left behind."""

PROGRAMS = Path(sys.executable).parent
"""Where this environment's programs lie, on the nodes too."""

HEARTBEAT_S = 10
HEARTBEATS_MISSED = 3
"""Time between two signs of life / s; a block is given up when so many are missed."""

RESERVE_S, RESERVE_SHARE = 60, 0.1
"""Time before the end of a block at which jobs stop by themselves / s; at most this part of the block."""


class PilotExecutor:
    """Run jobs in blocks of a batch system.

    Parameters
    ----------
    site
        The batch system and the blocks.
    directory
        Run directory, on a file system that the nodes share.
    """

    goes_on = True
    """A job that stopped in time for the end of its block goes on in the next one."""

    max_attempts = 5
    """Attempts of a job whose blocks are lost."""

    def __init__(self, site: Site, directory: Path) -> None:
        from parsl.config import Config
        from parsl.dataflow.dflow import DataFlowKernel

        self.site = site
        self.place = directory / "parsl"
        self.place.mkdir(parents=True, exist_ok=True)
        cancel_left_behind(self.place)
        self.mark = f"mscflow-{uuid.uuid4().hex[:12]}"
        self._record({})
        self.n_workers = 2 * sum(pool.workers * pool.max_blocks for pool in site.pools.values())
        executors = [_executor(site, name, self.mark, self.place) for name in site.pools]
        self._kernel = DataFlowKernel(
            Config(
                executors=executors,
                run_dir=str(self.place),
                strategy="htex_auto_scale",
                strategy_period=2,
                max_idletime=60.0,
                retries=0,
                usage_tracking=0,
                initialize_logging=False,
            )
        )
        self._record({e.label: e.interchange_proc.pid for e in executors if e.interchange_proc is not None})

    def submit(self, message: dict[str, Any]) -> Future:
        """Queue a job (see `mscflow.executors.worker.run_job`); its answer is the future's result."""
        from bson import json_util

        outer: Future = Future()
        inner = self._kernel.submit(
            work,
            app_args=(json_util.dumps(message),),
            executors=[self.site.pool_of(message["name"])],
            cache=False,
            ignore_for_cache=[],
            app_kwargs={},
        )
        inner.add_done_callback(lambda done: _settle(outer, done))
        return outer

    def close(self) -> None:
        """Give all blocks back; jobs that run are lost."""
        self._kernel.cleanup()
        cancel_left_behind(self.place)

    def _record(self, processes: dict[str, int]) -> None:
        record = {"mark": self.mark, "scheduler": self.site.scheduler, "processes": processes}
        write_whole(self.place / RECORD_FILE, json.dumps(record))


def scripts(site: Site) -> dict[str, str]:
    """Return the Slurm script of each pool's blocks, for reading before anything runs."""
    from parsl.providers.slurm.template import template_string

    found = {}
    for name, pool in site.pools.items():
        provider = _provider(site, pool, "mscflow-RUN")
        options = provider.scheduler_options + f"#SBATCH --mem={pool.memory_gib}g\n"
        found[name] = Template(template_string).substitute(
            jobname=f"mscflow.{name}",
            job_stdout_path="RUN/parsl/BLOCK.stdout",
            job_stderr_path="RUN/parsl/BLOCK.stderr",
            nodes=1,
            walltime=pool.walltime_s // 60,
            tasks_per_node=1,
            scheduler_options=options + f"#SBATCH --cpus-per-task={pool.cores}",
            worker_init=provider.worker_init,
            user_script="process_worker_pool.py  # Parsl's workers, which ask the driver for jobs",
        )
    return found


def cancel_left_behind(place: Path) -> None:
    """Cancel blocks, and end helper processes, that an earlier driver of this directory left behind."""
    import psutil

    try:
        record = json.loads((place / RECORD_FILE).read_text())
    except (OSError, ValueError):
        return
    for pid in record["processes"].values():
        try:
            process = psutil.Process(pid)
            if "interchange" in " ".join(process.cmdline()):
                process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    if record["scheduler"] == "slurm" and shutil.which("squeue"):
        listed = subprocess.run(["squeue", "-h", "-o", "%i %k"], capture_output=True, text=True, check=False)  # noqa: S607
        lines = (line.split(maxsplit=1) for line in listed.stdout.splitlines())
        blocks = [words[0] for words in lines if len(words) == 2 and words[1].strip() == record["mark"]]
        if blocks:
            subprocess.run(["scancel", *blocks], capture_output=True, check=False)  # noqa: S603, S607
    (place / RECORD_FILE).unlink(missing_ok=True)


def _executor(site: Site, name: str, mark: str, place: Path) -> Any:
    """Return Parsl's executor of one pool."""
    from parsl.executors import HighThroughputExecutor
    from parsl.jobs.error_handlers import windowed_error_handler

    pool = site.pools[name]
    return HighThroughputExecutor(
        label=name,
        provider=_provider(site, pool, mark),
        address="127.0.0.1" if site.scheduler == "local" else site.address,
        cores_per_worker=pool.cores / pool.workers,
        max_workers_per_node=pool.workers,
        available_accelerators=pool.gpus,
        interchange_launch_cmd=[str(PROGRAMS / "interchange.py")],
        heartbeat_period=HEARTBEAT_S,
        heartbeat_threshold=HEARTBEATS_MISSED * HEARTBEAT_S,
        drain_period=_usable_s(pool) - _reserve_s(pool) // 2,  # before jobs end that stop in time
        encrypted=True,
        block_error_handler=windowed_error_handler,
        worker_logdir_root=str(place),
    )


def _provider(site: Site, pool: Pool, mark: str) -> Any:
    """Return Parsl's provider of one pool's blocks."""
    from parsl import providers

    blocks: dict[str, Any] = {
        "init_blocks": 0,
        "min_blocks": 0,
        "max_blocks": pool.max_blocks,
        "worker_init": "\n".join((site.init.strip(), *_environment(pool))),
    }
    options: dict[str, Any] = {"walltime": pool.walltime, "scheduler_options": pool.options.strip(), **blocks}
    if site.scheduler == "local":
        return providers.LocalProvider(**blocks)
    if site.scheduler == "slurm":
        options["scheduler_options"] = f"{pool.options.strip()}\n#SBATCH --comment={mark}".strip()
        return providers.SlurmProvider(
            **options,
            cores_per_node=pool.cores,
            mem_per_node=pool.memory_gib,
            gpus_per_node=pool.gpus or None,
            exclusive=False,
        )
    if site.scheduler == "pbs":
        select = f"mem={pool.memory_gib}gb" + (f":ngpus={pool.gpus}" if pool.gpus else "")
        return providers.PBSProProvider(**options, cpus_per_node=pool.cores, select_options=select)
    if site.scheduler == "lsf":
        return providers.LSFProvider(**options, cores_per_node=pool.cores)
    return providers.GridEngineProvider(**options)


def _environment(pool: Pool) -> list[str]:
    """Return shell lines that tell jobs their cores, memory and end."""
    threads = max(1, pool.cores // pool.workers)
    return [
        f"export OMP_NUM_THREADS={threads} MKL_NUM_THREADS={threads} OPENBLAS_NUM_THREADS={threads}",
        f"export MSCFLOW_MEMORY_GIB={pool.memory_gib / pool.workers:g}",
        f"export MSCFLOW_DEADLINE=$(($(date +%s) + {_usable_s(pool)}))",
        f"export PATH={shlex.quote(str(PROGRAMS))}:$PATH",
    ]


def _usable_s(pool: Pool) -> int:
    """Return how long jobs may run in a block / s."""
    return pool.walltime_s - _reserve_s(pool)


def _reserve_s(pool: Pool) -> int:
    return min(RESERVE_S, int(RESERVE_SHARE * pool.walltime_s))


_WORKER: LocalExecutor | None = None
"""The process that runs jobs for one of Parsl's workers: jobs share its imports, and no more."""


def work(text: str) -> str:
    """Run a job on a node; message and answer as text.

    The answer of a job that stopped in time waits for the end of the block, so that the job goes on in
    another one.
    """
    from bson import json_util

    global _WORKER  # noqa: PLW0603 - one per process of Parsl
    if _WORKER is None:
        _WORKER = LocalExecutor(1)
    try:
        answer = _WORKER.submit(json_util.loads(text)).result()
    except WorkerDiedError as err:
        answer = {"died": str(err)}
    if "postponed" in answer:
        time.sleep(max(0.0, float(os.environ.get("MSCFLOW_DEADLINE", "0")) - time.time()))
    return json_util.dumps(answer)


def _settle(outer: Future, inner: Future) -> None:
    """Pass on the answer of one of Parsl's futures, or what became of its block."""
    from bson import json_util
    from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

    error = inner.exception()
    if isinstance(error, (ManagerLost, WorkerLost)):
        outer.set_exception(WorkerDiedError(f"its block was lost ({' '.join(str(error).split())})"))
    elif error is not None:
        outer.set_exception(CalculationError(f"the batch system: {' '.join(str(error).split())}"))
    else:
        answer = json_util.loads(inner.result())
        if "died" in answer:
            outer.set_exception(WorkerDiedError(answer["died"]))
        else:
            outer.set_result(answer)
