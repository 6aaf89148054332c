#!/usr/bin/env bash
# Brings the results that lie on the local disks of all nodes together on the first node, or on a
# file system that it sees: INTO/rank0/..., INTO/rank1/..., so that equal names do not meet.
#
#   sbatch --nodes=16 gather-results.sh /local/scratch/results /project/results
#
#SBATCH --job-name=gather-results
#SBATCH --ntasks-per-node=1
#SBATCH --time=01:00:00
set -euo pipefail

results=${1:?the directory of results on each node}
into=${2:?where they are brought together}
# How srun starts MPI programs: pmix where the cluster's MPI is Open MPI, pmi2 for MPICH.
export SLURM_MPI_TYPE=${SLURM_MPI_TYPE:-pmix}

# Rank 0 receives, the others only offer. All ranks read this file, so it lies where the job was
# submitted.
plan=$PWD/gather-$SLURM_JOB_ID.toml
trap 'rm -f "$plan"' EXIT
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
    srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --cpu-bind=none \
        shoal run --tracker colocated --share "$results" --prefix 'rank{rank}/' --plan "$plan" \
        --json "gather-$SLURM_JOB_ID.json"
}

# Status 3: something is missing. What arrived is kept, and a second run goes on from there. Any
# other status (1 wrong usage, 2 refused) comes before anything moved, and ends the job.
gather || { status=$?; [ "$status" -eq 3 ] || exit "$status"; gather; }

# A rank never wants what it shares itself: the first node's own results are copied.
srun --ntasks=1 --nodes=1 --relative=0 sh -c 'mkdir -p "$2" && cp -a "$1/." "$2/"' sh \
    "$results" "$into/rank0"
