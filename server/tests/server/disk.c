/* Makes the disk fail for the process that preloads this, as the file named by FAULT says: "sync": every fsync and
 * fdatasync fails; "full": nothing more fits; "broken": every write fails. Sockets and pipes go on working. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fault(const char *name) {
    const char *path = getenv("FAULT");
    char text[16] = {0};
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    int file = path ? real_open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 && strncmp(text, name, strlen(name)) == 0;
}

static int is_file(int fd) {
    struct stat it;
    return fstat(fd, &it) == 0 && S_ISREG(it.st_mode);
}

static int writing_fails(int fd) {
    if (!is_file(fd)) return 0;
    if (fault("full")) { errno = ENOSPC; return 1; }
    if (fault("broken")) { errno = EIO; return 1; }
    return 0;
}

int fsync(int fd) {
    if (fault("sync")) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd) {
    if (fault("sync")) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    if (writing_fails(fd)) return -1;
    return ((ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    if (writing_fails(fd)) return -1;
    return ((ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64"))(fd, bytes, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (writing_fails(fd)) return -1;
    return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, bytes, count);
}

int ftruncate64(int fd, off64_t length) {
    if (writing_fails(fd)) return -1;
    return ((int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64"))(fd, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    if (is_file(fd) && fault("full")) return ENOSPC;
    return ((int (*)(int, off64_t, off64_t))dlsym(RTLD_NEXT, "posix_fallocate64"))(fd, offset, length);
}
