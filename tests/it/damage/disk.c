/* Stands between the program and the C library, and makes the disk fail as the environment says:
 *
 *   DISK_OF     the directory whose files fail
 *   DISK_FAULT  fsync:N    the Nth fsync fails with EIO
 *               full:N     from the Nth write on the disk is full, until a file named DISK_OF.freed is there
 *               read-only  nothing can be opened for writing
 *   DISK_LOG    where every fsync and write of those files is noted, a line each: what, which file, how it went
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long fsyncs, writes;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_openat)(int, const char *, int, ...);

__attribute__((constructor)) static void find(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_openat = dlsym(RTLD_NEXT, "openat");
}

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

/* The number after the fault's name; 0 where another fault is asked for. */
static long asked(const char *fault) {
    const char *set = setting("DISK_FAULT");
    size_t length = strlen(fault);
    return strncmp(set, fault, length) == 0 && set[length] == ':' ? atol(set + length + 1) : 0;
}

static int within(const char *path) {
    const char *directory = setting("DISK_OF");
    return *directory && strncmp(path, directory, strlen(directory)) == 0;
}

/* Whether it is a file of the directory, or the directory; its path. */
static int concerns(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0) return 0;
    path[length] = 0;
    return within(path);
}

static void note(const char *what, const char *path, const char *how) {
    char line[4200];
    const char *name = strrchr(path, '/');
    int length = snprintf(line, sizeof line, "%s %s %s\n", what, name ? name + 1 : path, how);
    int saved = errno;
    int log = real_openat(AT_FDCWD, setting("DISK_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log >= 0) {
        if (real_write(log, line, (size_t)length) < 0) abort();
        close(log);
    }
    errno = saved;
}

static int fsync_fails(int fd) {
    char path[4096];
    if (!concerns(fd, path)) return 0;
    if (atomic_fetch_add(&fsyncs, 1) + 1 == asked("fsync")) {
        note("fsync", path, "failed");
        errno = EIO;
        return 1;
    }
    note("fsync", path, "done");
    return 0;
}

static int write_fails(int fd) {
    char path[4096], freed[4200];
    if (!concerns(fd, path)) return 0;
    long nth = asked("full");
    snprintf(freed, sizeof freed, "%s.freed", setting("DISK_OF"));
    if (atomic_fetch_add(&writes, 1) + 1 >= nth && nth > 0 && access(freed, F_OK) != 0) {
        note("write", path, "failed");
        errno = ENOSPC;
        return 1;
    }
    note("write", path, "done");
    return 0;
}

static int open_fails(const char *path, int flags) {
    if (strcmp(setting("DISK_FAULT"), "read-only") != 0 || !within(path)) return 0;
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT)) return 0;
    errno = EROFS;
    return 1;
}

int fsync(int fd) { return fsync_fails(fd) ? -1 : real_fsync(fd); }

int fdatasync(int fd) { return fsync_fails(fd) ? -1 : real_fdatasync(fd); }

ssize_t write(int fd, const void *from, size_t size) {
    return write_fails(fd) ? -1 : real_write(fd, from, size);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    return write_fails(fd) ? -1 : real_pwrite(fd, from, size, at);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) { return pwrite64(fd, from, size, at); }

int openat(int directory, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_fails(path, flags) ? -1 : real_openat(directory, path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return openat(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return openat(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
