#!/usr/bin/env bash
# Brings a data set that nodes already have up to date: only pieces that differ move, also within a
# big file, and what the source has no more is removed. Run it as often as you like.
#
#   sbatch --nodes=16 refresh-dataset.sh /project/data/images
#
#SBATCH --job-name=refresh-dataset
#SBATCH --ntasks-per-node=1
#SBATCH --time=01:00:00
set -euo pipefail

data=${1:?a file or a directory}
scratch=${SCRATCH:-/local/scratch}  # a directory on each node's own disk
rate=${RATE:-500MB}  # what each node may send and receive in a second: others use the network, too
# How srun starts MPI programs: pmix where the cluster's MPI is Open MPI, pmi2 for MPICH.
export SLURM_MPI_TYPE=${SLURM_MPI_TYPE:-pmix}

refresh() {
    srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --cpu-bind=none \
        shoal cast "$data" "$scratch" --delete --limit-upload "$rate" --limit-download "$rate" \
        --json "refresh-$SLURM_JOB_ID.json"
}

# Status 3: something is missing on some node. What arrived is kept, and a second run goes on from
# there. Any other status (1 wrong usage, 2 refused) comes before anything moved, and ends the job.
refresh || { status=$?; [ "$status" -eq 3 ] || exit "$status"; refresh; }
