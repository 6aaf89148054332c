/* Brings one file down a chain of hosts over plain TCP sockets, in blocks of 256 KiB: the least that a
 * program can do, and what a link-bound one must be measured by. It verifies nothing, knows no slow or
 * dead host, and has nothing to resume from.
 *
 *   chain LENGTH head SOURCE NEXT_ADDRESS PORT
 *   chain LENGTH link DESTINATION NEXT_ADDRESS PORT
 *   chain LENGTH tail DESTINATION - PORT
 *
 * Each host passes a block on before it writes it. When the tail has written everything it says so up
 * the chain, each host after it has written its own; then the head prints the seconds since its first
 * byte. The sockets are as they come: the kernel's own buffer sizes were as good as any that were set.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 * 1024)
#define TRIES 500

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The socket of whoever comes before this host. */
static int accept_one(int port) {
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1) != 0)
        die("listen");
    int previous = accept(listener, NULL, NULL);
    if (previous < 0)
        die("accept");
    close(listener);
    return previous;
}

/* The socket of whoever comes after it, who may not have begun to listen. */
static int connect_to(const char *address, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    struct timespec pause = {0, 10 * 1000 * 1000};
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        die(address);
    for (int try = 0; try < TRIES; try++) {
        int next = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(next, (struct sockaddr *)&to, sizeof to) == 0)
            return next;
        close(next);
        nanosleep(&pause, NULL);
    }
    die("connect");
    return -1;
}

/* Takes all of a block, from a socket or a file. */
static void take(int from, char *block, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t got = read(from, block + done, length - done);
        if (got <= 0)
            die("read");
        done += (size_t)got;
    }
}

/* Gives all of a block, to a socket or a file. */
static void give(int to, const char *block, size_t length) {
    for (size_t done = 0; done < length;) {
        ssize_t put = write(to, block + done, length - done);
        if (put <= 0)
            die("write");
        done += (size_t)put;
    }
}

int main(int count, char **words) {
    if (count != 6) {
        fprintf(stderr, "chain LENGTH head|link|tail FILE NEXT_ADDRESS|- PORT\n");
        return 1;
    }
    long long length = atoll(words[1]);
    int is_head = strcmp(words[2], "head") == 0, is_tail = strcmp(words[2], "tail") == 0;
    int port = atoi(words[5]);
    int flags = is_head ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
    int file = open(words[3], flags, 0644);
    char *block = malloc(BLOCK);
    if (file < 0 || block == NULL)
        die(words[3]);
    int previous = is_head ? -1 : accept_one(port);
    int next = is_tail ? -1 : connect_to(words[4], port);
    double began = now();
    for (long long done = 0; done < length;) {
        size_t part = (size_t)(length - done < BLOCK ? length - done : BLOCK);
        take(is_head ? file : previous, block, part);
        if (!is_tail)
            give(next, block, part);
        if (!is_head)
            give(file, block, part);
        done += (long long)part;
    }
    char word = 0;
    if (!is_tail)
        take(next, &word, 1);
    if (!is_head)
        give(previous, &word, 1);
    else
        printf("seconds %.6f\n", now() - began);
    return 0;
}
