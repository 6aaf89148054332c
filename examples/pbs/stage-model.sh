#!/usr/bin/env bash
# Puts a model on the local disk of every node, then runs a command there. For PBS Pro, OpenPBS and
# Torque, with Open MPI's mpirun (MPICH: mpiexec -f hosts -ppn 1).
#
#   qsub -l select=16:ncpus=8 -v MODEL=/project/models/llama stage-model.sh
#
#PBS -N stage-model
#PBS -l walltime=01:00:00
set -euo pipefail
cd "${PBS_O_WORKDIR:-.}"

model=${MODEL:?a file or a directory: qsub -v MODEL=...}
scratch=${SCRATCH:-/local/scratch}  # a directory on each node's own disk

# PBS names a node once for each of its slots; shoal wants one process a node.
hosts=$(mktemp)
trap 'rm -f "$hosts"' EXIT
sort -u "$PBS_NODEFILE" >"$hosts"
nodes=$(wc -l <"$hosts")

# --shared-fs: all nodes see the model, so each reads a part of it, all at once, and it is read once
# in all. Leave it out where only one node has the model.
stage() {
    mpirun -n "$nodes" --hostfile "$hosts" --map-by ppr:1:node --bind-to none \
        shoal cast --shared-fs "$model" "$scratch" --json "stage-model-$PBS_JOBID.json"
}

# Status 3: something is missing on some node. What arrived is kept, and a second run goes on from
# there. Any other status (1 wrong usage, 2 refused) comes before anything moved, and ends the job.
stage || { status=$?; [ "$status" -eq 3 ] || exit "$status"; stage; }

[ -z "${RUN:-}" ] || mpirun -n "$nodes" --hostfile "$hosts" --map-by ppr:1:node bash -c "$RUN"
