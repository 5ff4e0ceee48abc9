#!/usr/bin/env bash
# usage: slurm.sh KINORA: a batch as an array of 6 over two nodes of a Slurm of its own (Debian: slurm-wlm, munge), one node killed in the
# middle, then the merge job. Skipped (exit code 77) where Slurm is not installed or does not start.
set -u
kinora=$1
export PATH=$PATH:/usr/sbin
skip() { echo "slurm.sh: skipped: $*"; exit 77; }
fail() { echo "slurm.sh: $*" >&2; tail -n 5 "$d"/*.log "$d"/out/cluster/*.log >&2; exit 1; }
for tool in munged slurmctld slurmd sbatch scontrol squeue; do command -v $tool >/dev/null || skip "$tool is not installed"; done

d=$(mktemp -d) || exit 1
# The processes of a node: its slurmd, and the jobs that carry its name and our configuration, with the slurmstepd above each.
node_processes() {
    cat "$d/run/slurmd-$1.pid" 2>/dev/null
    local p
    for p in /proc/[0-9]*; do
        { tr '\0' '\n' <"$p/environ"; } 2>/dev/null >"$d/environ" || continue
        grep -qx "SLURMD_NODENAME=$1" "$d/environ" && grep -qx "SLURM_CONF=$SLURM_CONF" "$d/environ" || continue
        echo "${p#/proc/}"
        awk '$4 > 1 { print $4 }' "$p/stat" 2>/dev/null
    done
}
finish() {
    scancel -u "$(id -un)" 2>/dev/null
    local pids="$(node_processes n1) $(node_processes n2) $(cat "$d/run/slurmctld.pid" "$d/run/munged.pid" 2>/dev/null)"
    kill $pids 2>/dev/null
    sleep 1
    kill -9 $pids 2>/dev/null
    rm -rf "$d"
}
trap finish EXIT

export SLURM_CONF=$d/slurm.conf
port=$((20000 + RANDOM % 20000))
mkdir -p "$d"/run "$d"/state "$d"/spool-n1 "$d"/spool-n2
chmod 755 "$d"
head -c 1024 /dev/urandom >"$d/munge.key" && chmod 400 "$d/munge.key"
cat >"$SLURM_CONF" <<EOF
ClusterName=kinora
SlurmctldHost=$(hostname)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$d/run/munge.sock
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool-%n
SlurmctldPidFile=$d/run/slurmctld.pid
SlurmdPidFile=$d/run/slurmd-%n.pid
SlurmctldLogFile=$d/slurmctld.log
SlurmdLogFile=$d/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdTimeout=10
SchedulerParameters=sched_interval=2
NodeName=n1 NodeHostname=$(hostname) Port=$((port + 1)) CPUs=2
NodeName=n2 NodeHostname=$(hostname) Port=$((port + 2)) CPUs=2
PartitionName=main Nodes=n1,n2 Default=YES State=UP
EOF
munged --force --key-file="$d/munge.key" --socket="$d/run/munge.sock" --pid-file="$d/run/munged.pid" --log-file="$d/munged.log" \
    --seed-file="$d/run/seed" >/dev/null 2>&1 || skip "munged does not start here"
slurmctld -c >/dev/null 2>&1 || skip "slurmctld does not start here"
for node in n1 n2; do slurmd -N $node >/dev/null 2>&1 || skip "slurmd does not start here"; done
for i in $(seq 30); do [ "$(sinfo -hN -t idle 2>/dev/null | wc -l)" = 2 ] && break; sleep 1; done
[ "$(sinfo -hN -t idle 2>/dev/null | wc -l)" = 2 ] || skip "two nodes do not come up here"

cat >"$d/jobs.yaml" <<EOF
set: {source: control, frames: 8, fps: 4, chunk: 2, rig: $PWD/tests/pipeline/data/two.json}
sweep:
  scene: [$PWD/samples/drive/cut-in.xosc, $PWD/samples/drive/town.xosc]
  seed: [0, 1, 2]
EOF
"$kinora" batch "$d/jobs.yaml" -o "$d/out" --slurm "--partition main --array-limit 4" --shards 6 --submit || fail "submit"
for i in $(seq 200); do [ -n "$(find "$d/out/state/work" -type f 2>/dev/null | head -n 1)" ] && break; sleep .2; done
kill -9 $(node_processes n1) 2>/dev/null # power cut
echo "slurm.sh: n1 is killed: $(squeue -h -o '%i %T %N' | tr '\n' ';')"
for i in $(seq 240); do
    [ -z "$(squeue -h)" ] && break
    # Slurm holds the jobs of a failed node for two minutes; not here.
    squeue -h -t PD -o '%i %r' | awk '$2 == "BeginTime" { print $1 }' | while read -r job; do scontrol update JobId="$job" StartTime=now; done
    sleep 1
done
[ -z "$(squeue -h)" ] || fail "not over: $(squeue -h)"
cat "$d"/out/cluster/*.log
grep -q "start 1" "$d"/out/cluster/*.log || fail "no task was put back into the queue"
"$kinora" batch status "$d/out" | grep -q "6 items: 6 done" || fail "$("$kinora" batch status "$d/out")"
[ -s "$d/out/merged/README.md" ] || fail "the merge job made nothing"
"$kinora" batch "$d/jobs.yaml" -o "$d/here" --progress off -q && "$kinora" batch merge "$d/here" --progress off || fail "the same without Slurm"
diff -r "$d/out/merged" "$d/here/merged" || fail "another dataset than without Slurm"
exit 0
