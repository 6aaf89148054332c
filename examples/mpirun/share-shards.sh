#!/usr/bin/env bash
# Every host has some shards of a data set, and all want all of them. Run it again when shards have
# changed: only what differs moves.
#
#   share-shards.sh hosts.txt /local/shards /local/data
set -euo pipefail

hosts=${1:?a file with a host name a line}
shards=${2:?the directory of shards on each host}
into=${3:?where all of them are wanted, on each host}
count=$(grep -c . "$hosts")

# Rank 0 is a peer too (colocated), so that one process a host is enough.
exchange() {
    mpirun -n "$count" --hostfile "$hosts" --map-by ppr:1:node --bind-to none \
        shoal run --tracker colocated --share "$shards" --into "$into" --json share-shards.json
}

# Status 3: something is missing on some host. What arrived is kept, and a second run goes on from
# there. Any other status (1 wrong usage, 2 refused) comes before anything moved, and ends this.
exchange || { status=$?; [ "$status" -eq 3 ] || exit "$status"; exchange; }
