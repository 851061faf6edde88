#!/usr/bin/env bash
# A Slurm with several virtual nodes on one machine, for trying things out: Debian or Ubuntu, as root.
#
#   hpc/dev-slurm.sh start     # installs the packages if they are missing; ready in a second or two
#   sinfo -N
#   hpc/dev-slurm.sh stop
#
# No systemd, no cgroups, no accounting database. NODES virtual nodes claim CPUS cores and MEMORY MB each; they
# may claim more than there is. Listens on loopback only.
set -euo pipefail

NODES=${NODES:-2}
CPUS=${CPUS:-2}
MEMORY=${MEMORY:-4000}
HOST=$(hostname -s)
RUN=/run/dev-slurm
SPOOL=/var/spool/dev-slurm
LOG=/var/log/dev-slurm

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

install_packages() {
    if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
    fi
}

configure() {
    if [ -e /etc/slurm/slurm.conf ] && ! grep -q '^ClusterName=dev$' /etc/slurm/slurm.conf; then
        echo "dev-slurm: /etc/slurm/slurm.conf is that of another Slurm: it stays as it is" >&2
        exit 1
    fi
    mkdir -p /etc/slurm "$RUN" "$SPOOL/ctld" "$LOG"
    chown -R slurm:slurm "$SPOOL/ctld" "$RUN" "$LOG"
    {
        cat <<EOF
ClusterName=dev
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd-%n.pid
StateSaveLocation=$SPOOL/ctld
SlurmdSpoolDir=$SPOOL/%n
SlurmctldLogFile=$LOG/slurmctld.log
SlurmdLogFile=$LOG/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
KillWait=3
OverTimeLimit=0
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
EOF
        for n in $(seq "$NODES"); do
            echo "NodeName=n$n NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((17000 + n)) CPUs=$CPUS" \
                "RealMemory=$MEMORY State=UNKNOWN"
        done
        echo "PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP"
    } >/etc/slurm/slurm.conf
}

start() {
    install_packages
    configure
    if ! munge -n 2>/dev/null | unmunge >/dev/null 2>&1; then
        [ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none
        chown munge:munge /etc/munge/munge.key
        chmod 400 /etc/munge/munge.key
        install -d -o munge -g munge -m 755 /run/munge
        install -d -o munge -g munge -m 700 /var/log/munge /var/lib/munge
        setpriv --reuid munge --regid munge --init-groups /usr/sbin/munged
        touch "$RUN/munged-is-ours"
    fi
    alive "$RUN/slurmctld.pid" || slurmctld
    for n in $(seq "$NODES"); do
        mkdir -p "$SPOOL/n$n"
        alive "$RUN/slurmd-n$n.pid" || slurmd -N "n$n"
    done
    for _ in $(seq 60); do
        [ "$(sinfo -h -N -o %t 2>/dev/null | grep -cE '^(idle|mix|alloc)$')" = "$NODES" ] && return 0
        sleep 0.5
    done
    echo "dev-slurm: the nodes did not come up: see $LOG" >&2
    return 1
}

stop() {
    for file in "$RUN"/slurmd-*.pid "$RUN/slurmctld.pid"; do
        if alive "$file"; then kill "$(cat "$file")"; fi
    done
    if [ -e "$RUN/munged-is-ours" ] && alive /run/munge/munged.pid; then kill "$(cat /run/munge/munged.pid)"; fi
    rm -f "$RUN/munged-is-ours"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*) echo "usage: $0 start|stop" >&2 && exit 2 ;;
esac
