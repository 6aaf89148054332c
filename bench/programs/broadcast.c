/* Brings one file from rank 0 to all other ranks, as one writes it by hand with MPI: the rival that a
 * cluster's users have today. It knows no resumption, no slow rank and no second file.
 *
 *   broadcast METHOD BLOCK_BYTES DEPTH SHA256 SOURCE DESTINATION...
 *
 * METHOD   bcast    MPI_Bcast of one block after the other
 *          ibcast   MPI_Ibcast, DEPTH blocks in flight (2 is double-buffering)
 *          chain    rank r receives from r - 1 and sends to r + 1, DEPTH blocks of each in flight
 * SHA256   the file's, in hexadecimal: each receiver hashes what arrives, block by block while it is in
 *          cache, and compares; - verifies nothing
 * DESTINATION   a file for each rank from 1 on
 *
 * Rank 0 prints the seconds from a barrier behind MPI_Init to the one after the last rank has written
 * and verified everything. Linked with: -lcrypto, which uses the processor's SHA instructions.
 */
#include <fcntl.h>
#include <mpi.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
    int rank, ranks;
    int file; /* The source on rank 0, the destination on all others. */
    long long length;
    size_t block;
    long long blocks;
    int depth;
    EVP_MD_CTX *digest; /* NULL where nothing is verified. */
};

static void die(const char *what) {
    perror(what);
    MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

static void *allocate(size_t length) {
    void *memory = malloc(length);
    if (memory == NULL)
        die("malloc");
    return memory;
}

/* The length of a block: all are `block` long but the last. */
static int length_of(const struct job *job, long long index) {
    long long left = job->length - index * (long long)job->block;
    return (int)(left < (long long)job->block ? left : (long long)job->block);
}

/* Rank 0: reads a block. */
static void fetch(const struct job *job, long long index, char *buffer) {
    int length = length_of(job, index);
    if (pread(job->file, buffer, length, index * (long long)job->block) != length)
        die("read");
}

/* All others: hashes and writes a block; they come in order. */
static void store(const struct job *job, long long index, const char *buffer) {
    int length = length_of(job, index);
    if (job->digest != NULL && EVP_DigestUpdate(job->digest, buffer, length) != 1)
        die("sha256");
    if (pwrite(job->file, buffer, length, index * (long long)job->block) != length)
        die("write");
}

static void by_bcast(const struct job *job) {
    char *buffer = allocate(job->block);
    for (long long index = 0; index < job->blocks; index++) {
        if (job->rank == 0)
            fetch(job, index, buffer);
        MPI_Bcast(buffer, length_of(job, index), MPI_BYTE, 0, MPI_COMM_WORLD);
        if (job->rank != 0)
            store(job, index, buffer);
    }
    free(buffer);
}

static void by_ibcast(const struct job *job) {
    char *buffers = allocate(job->block * job->depth);
    MPI_Request *requests = allocate(sizeof *requests * job->depth);
    for (long long index = 0; index < job->blocks + job->depth - 1; index++) {
        if (index < job->blocks) {
            int slot = (int)(index % job->depth);
            char *buffer = buffers + slot * job->block;
            if (job->rank == 0)
                fetch(job, index, buffer);
            MPI_Ibcast(buffer, length_of(job, index), MPI_BYTE, 0, MPI_COMM_WORLD, &requests[slot]);
        }
        long long oldest = index - (job->depth - 1);
        if (oldest >= 0 && oldest < job->blocks) {
            int slot = (int)(oldest % job->depth);
            MPI_Wait(&requests[slot], MPI_STATUS_IGNORE);
            if (job->rank != 0)
                store(job, oldest, buffers + slot * job->block);
        }
    }
    free(requests);
    free(buffers);
}

/* A ring of 2 * DEPTH buffers: DEPTH that wait for their bytes, DEPTH whose bytes go on to the next rank. */
static void by_chain(const struct job *job) {
    int slots = 2 * job->depth;
    int previous = job->rank == 0 ? MPI_PROC_NULL : job->rank - 1;
    int next = job->rank + 1 == job->ranks ? MPI_PROC_NULL : job->rank + 1;
    char *buffers = allocate(job->block * slots);
    MPI_Request *receives = allocate(sizeof *receives * slots);
    MPI_Request *sends = allocate(sizeof *sends * slots);
    for (int slot = 0; slot < slots; slot++)
        receives[slot] = sends[slot] = MPI_REQUEST_NULL;

    for (long long ahead = 0; ahead < job->blocks + job->depth; ahead++) {
        if (ahead < job->blocks) {
            int slot = (int)(ahead % slots);
            char *buffer = buffers + slot * job->block;
            MPI_Wait(&sends[slot], MPI_STATUS_IGNORE); /* Of the block that was in this buffer. */
            MPI_Irecv(buffer, length_of(job, ahead), MPI_BYTE, previous, 0, MPI_COMM_WORLD,
                      &receives[slot]);
        }
        long long index = ahead - job->depth;
        if (index >= 0) {
            int slot = (int)(index % slots);
            char *buffer = buffers + slot * job->block;
            MPI_Wait(&receives[slot], MPI_STATUS_IGNORE);
            if (job->rank == 0)
                fetch(job, index, buffer);
            MPI_Isend(buffer, length_of(job, index), MPI_BYTE, next, 0, MPI_COMM_WORLD, &sends[slot]);
            if (job->rank != 0)
                store(job, index, buffer);
        }
    }
    MPI_Waitall(slots, sends, MPI_STATUSES_IGNORE);
    free(sends);
    free(receives);
    free(buffers);
}

/* Ends the job where the bytes that arrived are not those that were sent. */
static void verify(const struct job *job, const char *expected) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    char shown[2 * EVP_MAX_MD_SIZE + 1];
    unsigned int length = 0;
    if (EVP_DigestFinal_ex(job->digest, hash, &length) != 1)
        die("sha256");
    for (unsigned int index = 0; index < length; index++)
        sprintf(shown + 2 * index, "%02x", hash[index]);
    if (strcmp(shown, expected) != 0) {
        fprintf(stderr, "rank %d: SHA-256 is %s, not %s\n", job->rank, shown, expected);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* Opens this rank's file, and learns the source's length from rank 0. */
static void open_file(struct job *job, const char *source, const char *destination) {
    if (job->rank == 0) {
        struct stat status;
        job->file = open(source, O_RDONLY);
        if (job->file < 0 || fstat(job->file, &status) != 0)
            die(source);
        job->length = status.st_size;
    } else {
        job->file = open(destination, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (job->file < 0)
            die(destination);
    }
    MPI_Bcast(&job->length, 1, MPI_LONG_LONG, 0, MPI_COMM_WORLD);
    job->blocks = (job->length + (long long)job->block - 1) / (long long)job->block;
}

int main(int argc, char **argv) {
    struct job job = {0};
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &job.ranks);
    if (argc != 5 + job.ranks) {
        fprintf(stderr, "usage: broadcast METHOD BLOCK_BYTES DEPTH SHA256 SOURCE DESTINATION...\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    const char *method = argv[1], *expected = argv[4];
    job.block = strtoul(argv[2], NULL, 10);
    job.depth = atoi(argv[3]);
    open_file(&job, argv[5], argv[5 + job.rank]);
    if (strcmp(expected, "-") != 0 && job.rank != 0) {
        job.digest = EVP_MD_CTX_new();
        if (job.digest == NULL || EVP_DigestInit_ex(job.digest, EVP_sha256(), NULL) != 1)
            die("sha256");
    }

    MPI_Barrier(MPI_COMM_WORLD);
    double began = MPI_Wtime();
    if (strcmp(method, "bcast") == 0)
        by_bcast(&job);
    else if (strcmp(method, "ibcast") == 0)
        by_ibcast(&job);
    else if (strcmp(method, "chain") == 0)
        by_chain(&job);
    else
        die(method);
    if (job.digest != NULL)
        verify(&job, expected);
    if (close(job.file) != 0)
        die("close");
    MPI_Barrier(MPI_COMM_WORLD);
    if (job.rank == 0)
        printf("seconds %.6f\n", MPI_Wtime() - began);
    MPI_Finalize();
    return 0;
}
