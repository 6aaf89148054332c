#!/usr/bin/env bash
# Puts a model on the local disk of every node, then runs a command there.
#
#   sbatch --nodes=16 stage-model.sh /project/models/llama ./infer --model /local/scratch/llama
#
#SBATCH --job-name=stage-model
#SBATCH --ntasks-per-node=1
#SBATCH --time=01:00:00
set -euo pipefail

model=${1:?a file or a directory}
shift
scratch=${SCRATCH:-/local/scratch}  # a directory on each node's own disk
# How srun starts MPI programs: pmix where the cluster's MPI is Open MPI, pmi2 for MPICH.
export SLURM_MPI_TYPE=${SLURM_MPI_TYPE:-pmix}

# One process a node, with all its cores: shoal checks every byte.
# --shared-fs: all nodes see the model, so each reads a part of it, all at once, and it is read once
# in all. Leave it out where only one node has the model.
stage() {
    srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --cpu-bind=none \
        shoal cast --shared-fs "$model" "$scratch" --json "stage-model-$SLURM_JOB_ID.json"
}

# Status 3: something is missing on some node. What arrived is kept, and a second run goes on from
# there. Any other status (1 wrong usage, 2 refused) comes before anything moved, and ends the job.
stage || { status=$?; [ "$status" -eq 3 ] || exit "$status"; stage; }

[ $# -eq 0 ] || srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 "$@"
