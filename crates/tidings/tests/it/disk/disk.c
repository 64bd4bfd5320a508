/* A disk that fails when it is told to. Loaded before libc (LD_PRELOAD), it stands between SQLite
 * and the system, for the files of a store alone.
 *
 * DISK_FAULT names a file that holds what is wrong: "write EIO", "write EROFS", "sync EIO", "hang",
 * or nothing. With DISK_RECORD set, it keeps beside each file what a power failure would leave of
 * it: FILE.durable, as FILE was at its last fsync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* 10 ms each: a minute at most. */
#define HANGS_MAX 6000

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static ssize_t real_write(int fd, const void *bytes, size_t count) {
    return ((ssize_t(*)(int, const void *, size_t))real("write"))(fd, bytes, count);
}

/* The path of a file of the store; 0 where it is another, or only shared memory. */
static int store(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    const char *name = strstr(path, "store.sqlite");
    return name && !strstr(name, "-shm") && !strstr(name, ".durable");
}

static int is_wrong(const char *fault) {
    char now[32] = {0};
    const char *path = getenv("DISK_FAULT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    ssize_t length = read(fd, now, sizeof now - 1);
    close(fd);
    return length > 0 && !strcmp(now, fault);
}

/* What a call on the store gives instead: an errno, or 0. */
static int fault(const char *call, int fd) {
    char path[4096], wanted[32];
    if (!store(fd, path, sizeof path)) return 0;
    for (int n = 0; n < HANGS_MAX && is_wrong("hang"); n++) usleep(10000);
    snprintf(wanted, sizeof wanted, "%s EIO", call);
    if (is_wrong(wanted)) return EIO;
    snprintf(wanted, sizeof wanted, "%s EROFS", call);
    return is_wrong(wanted) ? EROFS : 0;
}

/* Copies a file to another. */
static void copy(const char *from_path, const char *to_path) {
    char bytes[65536];
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    int to = open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t count = -1;
    while (from >= 0 && to >= 0 && (count = read(from, bytes, sizeof bytes)) > 0)
        if (real_write(to, bytes, count) != count) abort();
    if (count) abort();
    close(from);
    close(to);
}

/* What is in the file before an fsync is on the disk after it; what comes during it may be or not. */
static int sync_with(const char *name, int fd) {
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    char path[4096], old[4200], new[4200];
    int wrong = fault("sync", fd);
    if (wrong) return errno = wrong, -1;
    int (*sync)(int) = (int (*)(int))real(name);
    if (!getenv("DISK_RECORD") || !store(fd, path, sizeof path)) return sync(fd);
    snprintf(old, sizeof old, "%s.durable", path);
    snprintf(new, sizeof new, "%s.durable.new", path);
    pthread_mutex_lock(&one_at_a_time);
    copy(path, new);
    int result = sync(fd);
    if (!result && rename(new, old)) abort();
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
    int wrong = fault("write", fd);
    if (wrong) return errno = wrong, -1;
    return real_write(fd, bytes, count);
}

static ssize_t pwrite_with(const char *name, int fd, const void *bytes, size_t count, off_t at) {
    int wrong = fault("write", fd);
    if (wrong) return errno = wrong, -1;
    return ((ssize_t(*)(int, const void *, size_t, off_t))real(name))(fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite_with("pwrite", fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at) {
    return pwrite_with("pwrite64", fd, bytes, count, at);
}
