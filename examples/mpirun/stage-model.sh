#!/usr/bin/env bash
# Puts a model on the local disk of every host of a list, without a batch system: Open MPI's mpirun
# reaches the hosts by ssh (MPICH: mpiexec -f hosts -ppn 1).
#
#   stage-model.sh hosts.txt /project/models/llama /local/scratch
set -euo pipefail

hosts=${1:?a file with a host name a line}
model=${2:?a file or a directory; it may lie on one host alone}
scratch=${3:?a directory on each host}
count=$(grep -c . "$hosts")

stage() {
    mpirun -n "$count" --hostfile "$hosts" --map-by ppr:1:node --bind-to none \
        shoal cast "$model" "$scratch" --json stage-model.json
}

# Status 3: something is missing on some host. What arrived is kept, and a second run goes on from
# there. Any other status (1 wrong usage, 2 refused) comes before anything moved, and ends this.
stage || { status=$?; [ "$status" -eq 3 ] || exit "$status"; stage; }
