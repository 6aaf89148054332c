#!/usr/bin/env bash
# Brings the results that lie on the local disks of all nodes together on the first node, or on a
# file system that it sees: INTO/rank0/..., INTO/rank1/.... For PBS Pro, OpenPBS and Torque, with
# Open MPI's mpirun (MPICH: mpiexec -f hosts -ppn 1).
#
#   qsub -l select=16:ncpus=8 -v RESULTS=/local/scratch/out,INTO=/project/out gather-results.sh
#
#PBS -N gather-results
#PBS -l walltime=01:00:00
set -euo pipefail
cd "${PBS_O_WORKDIR:-.}"

results=${RESULTS:?the directory of results on each node: qsub -v RESULTS=...}
into=${INTO:?where they are brought together: qsub -v INTO=...}

# PBS names a node once for each of its slots; shoal wants one process a node. The first one in the
# file is where this script runs, and becomes rank 0.
hosts=$(mktemp)
# Rank 0 receives, the others only offer. All ranks read this file, so it lies where the job was
# submitted.
plan=$PWD/gather-$PBS_JOBID.toml
trap 'rm -f "$hosts" "$plan"' EXIT
awk '!seen[$0]++' "$PBS_NODEFILE" >"$hosts"
nodes=$(wc -l <"$hosts")
cat >"$plan" <<PLAN
[[peer]]
ranks = "0"
into  = "$into"

[[peer]]
hosts = ["*"]
want  = []
PLAN

# Rank 0 is a peer too (colocated): it offers what its own node has, and receives the rest.
gather() {
    mpirun -n "$nodes" --hostfile "$hosts" --map-by ppr:1:node --bind-to none \
        shoal run --tracker colocated --share "$results" --prefix 'rank{rank}/' --plan "$plan" \
        --json "gather-$PBS_JOBID.json"
}

# Status 3: something is missing. What arrived is kept, and a second run goes on from there. Any
# other status (1 wrong usage, 2 refused) comes before anything moved, and ends the job.
gather || { status=$?; [ "$status" -eq 3 ] || exit "$status"; gather; }

# A rank never wants what it shares itself: the first node's own results are copied.
mkdir -p "$into/rank0"
cp -a "$results/." "$into/rank0/"
