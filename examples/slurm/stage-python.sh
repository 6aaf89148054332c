#!/usr/bin/env bash
# Puts a Python environment from a shared file system on the local disk of every node, then runs a
# script with it: thousands of small files that no node asks the file system for any more.
#
#   sbatch --nodes=64 stage-python.sh /project/envs/torch train.py --epochs 3
#
#SBATCH --job-name=stage-python
#SBATCH --ntasks-per-node=1
#SBATCH --time=01:00:00
set -euo pipefail

environment=${1:?a directory with bin/python in it, as python3 -m venv or conda make it}
shift
scratch=${SCRATCH:-/local/scratch}  # a directory on each node's own disk
# How srun starts MPI programs: pmix where the cluster's MPI is Open MPI, pmi2 for MPICH.
export SLURM_MPI_TYPE=${SLURM_MPI_TYPE:-pmix}

# One process a node, with all its cores.
# --shared-fs: all nodes see the environment, so each reads a part of it, and it is read once in
# all; one node alone looks through it, so that its names are asked for once, too.
stage() {
    srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 --cpu-bind=none \
        shoal cast --shared-fs "$environment" "$scratch" --json "stage-python-$SLURM_JOB_ID.json"
}

# Status 3: something is missing on some node. What arrived is kept, and a second run goes on from
# there. Any other status (1 wrong usage, 2 refused) comes before anything moved, and ends the job.
stage || { status=$?; [ "$status" -eq 3 ] || exit "$status"; stage; }

# Scripts in bin/ name the path where the environment was made; the interpreter itself can move.
[ $# -eq 0 ] || srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 \
    "$scratch/$(basename "$environment")/bin/python" "$@"
