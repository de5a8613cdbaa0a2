#!/bin/sh
# A sweep as a Slurm job array, for real: controller and node on this machine, for as long as this script runs.
#
#     sudo apt-get install slurm-wlm
#     sudo sh tests/slurm.sh target/release/tinyglot
#
# Skips, aloud, where Slurm is not installed. Daemons are started with files of their own in a temporary folder and stopped
# at the end; nothing of an installed cluster is touched. Root, as node and controller change users.
set -eu

for program in munged slurmctld slurmd sbatch squeue scontrol; do
    if ! command -v "$program" > /dev/null; then
        echo "SKIPPED: there is no $program (Debian: slurm-wlm)" >&2
        exit 0
    fi
done
if [ "$(id -u)" != 0 ]; then
    echo "SKIPPED: not root" >&2
    exit 0
fi
tinyglot=$(realpath "${1:?usage: $0 TINYGLOT}")
place=$(mktemp -d)
chmod 755 "$place"
cd "$place"
pids=""
stop() {
    for pid in $pids; do
        kill "$pid" 2> /dev/null || true
    done
    for pid in $pids; do
        wait "$pid" 2> /dev/null || true
    done
    rm -rf "$place"
}
trap stop EXIT
fail() {
    echo "FAILED: $1" >&2
    tail -n 20 ./*.log >&2 || true
    exit 1
}

host=$(hostname -s)
head -c 128 /dev/urandom > munge.key
chmod 400 munge.key
cat > slurm.conf << END
ClusterName=tinyglot
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$place/munge.socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
mkdir state spool
export SLURM_CONF="$place/slurm.conf"
munged --foreground --force --key-file="$place/munge.key" --socket="$place/munge.socket" \
    --pid-file="$place/munged.pid" --log-file="$place/munged.log" --seed-file="$place/munge.seed" 2> munged.err &
pids="$pids $!"
slurmctld -D > slurmctld.log 2>&1 &
pids="$pids $!"
slurmd -D -N "$host" > slurmd.log 2>&1 &
pids="$pids $!"
tries=0
until scontrol show node "$host" 2> /dev/null | grep -q 'State=IDLE'; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || fail "the node does not come up"
    sleep 1
done

# A tiny corpus, and a sweep of four trials of which one fails.
"$tinyglot" data scenes --out data --train 60 --val 20 --test 20 --languages en,de --quiet
cat > config.toml << 'END'
[data]
root = "data"
languages = ["en", "de"]
image_ids = "image_splits/{split}.txt"
[[data.captions]]
languages = ["en", "de"]
files = ["captions/{split}.1.{language}", "captions/{split}.2.{language}"]
[words.fasttext]
width = 12
epochs = 1
buckets = 500
[embedding]
top_k = 20
word_width = 8
latents = 30
width = 16
align = { epochs = 1 }
pretrain = { epochs = 1, top_m = 5 }
[text]
hidden = 16
joint = 16
[image]
hidden = 32
[train]
epochs = 3
images = 12
END
cat > sweep.toml << 'END'
base = "config.toml"
[axes]
"embedding.top_k" = [0, 20]
[[variants]]
name = "good"
[[variants]]
name = "broken"
set = { train.learning_rate = 1e30 }
END
drain() {
    tries=0
    while [ -n "$(squeue --noheader)" ]; do
        tries=$((tries + 1))
        [ $tries -lt 120 ] || fail "the job array does not end: $(squeue)"
        sleep 1
    done
}
"$tinyglot" sweep sweep.toml --out out --slurm --threads 1 --jobs 2
drain
count() {
    grep -c "\"status\":\"$1\"" "${2:-out}/results.jsonl" || true
}
[ "$(count done)" = 2 ] || fail "2 trials should be done: $(cat out/slurm/*.txt)"
[ "$(count failed)" = 2 ] || fail "2 trials should have failed"

# With a trial more the same command submits that one and those that failed; a plain run writes the report.
sed -i 's/\[0, 20\]/[0, 10, 20]/' sweep.toml
"$tinyglot" sweep sweep.toml --out out --slurm --threads 1
grep -q 'array=1,3-5$' out/slurm.sh || fail "the wrong trials: $(grep array out/slurm.sh)"
drain
[ "$(count done)" = 3 ] || fail "3 trials should be done: $(cat out/slurm/*.txt)"
! "$tinyglot" sweep sweep.toml --out out --retries 0 --threads 1 || fail "three trials fail"
[ -s out/report.html ] || fail "there is no report"

# With a halving, a job array for each rung, each after the last.
cat > halving.toml << 'END'
base = "config.toml"
[axes]
"embedding.top_k" = [0, 10, 20, 30]
[halving]
rungs = [1, 2]
keep = 0.5
END
"$tinyglot" sweep halving.toml --out halved --slurm --threads 1
[ "$(squeue --noheader --array --format=%A | wc -l)" -gt 4 ] || fail "one array for each rung: $(squeue)"
drain
[ "$(count done halved)" = 1 ] || fail "1 trial should be done: $(cat halved/slurm/*.txt)"
[ "$(count dropped halved)" = 3 ] || fail "3 trials should be dropped: $(cat halved/slurm/*.txt)"
"$tinyglot" sweep halving.toml --out halved --threads 1 | grep -q done || fail "all that could is done"
echo "OK: sweeps ran as Slurm job arrays"
