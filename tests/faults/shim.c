/* Counts what a program does to files below a folder, and at one of those operations kills it or lets it fail. Preloaded.
 *
 * FAULTS_DIR    the folder, a full path
 * FAULTS_COUNT  a file of four bytes that all processes of the program count in
 * FAULTS_AT     the operation, counted from 1; without it nothing happens but the count
 * FAULTS_HOW    kill: the program dies before the operation, or in the middle of it if it writes
 *               fail: the operation alone fails, as on a broken disk (EIO)
 *               full: from here on nothing grows (ENOSPC)
 *               nolock: no file can be locked, as on some shared disks; wherever FAULTS_AT is
 * FAULTS_LOG    a file that gets a line for each operation
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *folder, *how = "";
static atomic_int *count;
static int at, logged = -1;

#define REAL(name, ...) \
    static __typeof__(__VA_ARGS__) real; \
    if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, name)

typedef int (*open_t)(const char *, int, ...);
typedef int (*openat_t)(int, const char *, int, ...);
typedef ssize_t (*write_t)(int, const void *, size_t);

static void really_write(int fd, const void *bytes, size_t length) {
    REAL("write", write_t);
    ssize_t ignored = real(fd, bytes, length);
    (void)ignored;
}

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTS_COUNT"), *log = getenv("FAULTS_LOG");
    if (!file || !getenv("FAULTS_DIR")) return;
    open_t open_really = (open_t)dlsym(RTLD_NEXT, "open");
    int fd = open_really(file, O_RDWR);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(atomic_int), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return;
    if (log) logged = open_really(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (getenv("FAULTS_AT")) at = atoi(getenv("FAULTS_AT"));
    if (getenv("FAULTS_HOW")) how = getenv("FAULTS_HOW");
    count = map;
    folder = getenv("FAULTS_DIR");
}

enum { GO, FAIL, DIE };

/* What is to happen to an operation on a path: GO, FAIL with errno set, or DIE. */
static int fault(const char *what, const char *path, int grows) {
    size_t length = folder ? strlen(folder) : 0;
    if (!folder || strncmp(path, folder, length) || (path[length] && path[length] != '/')) return GO;
    int n = atomic_fetch_add(count, 1) + 1;
    if (logged >= 0) {
        char line[PATH_MAX + 64];
        int size = snprintf(line, sizeof line, "%d %s %s\n", n, what, path + length);
        really_write(logged, line, size);
    }
    if (!at) return GO;
    if (n == at && !strcmp(how, "kill")) return DIE;
    if (n == at && !strcmp(how, "fail")) { errno = EIO; return FAIL; }
    if (n >= at && grows && !strcmp(how, "full")) { errno = ENOSPC; return FAIL; }
    return GO;
}

__attribute__((noreturn)) static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* The path of a file descriptor. */
static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

/* The path of a name in an open folder. */
static const char *path_at(int fd, const char *name, char *path) {
    if (name[0] == '/') return name;
    if (fd == AT_FDCWD) {
        if (!getcwd(path, PATH_MAX)) path[0] = 0;
    } else {
        path_of(fd, path);
    }
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
    return path;
}

#define CHECK(what, path, grows) \
    switch (fault(what, path, grows)) { case FAIL: return -1; case DIE: die(); default: break; }

#define MODE va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest)
#define WRITES(flags) ((flags) & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR))

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        MODE; char full[PATH_MAX]; \
        REAL(#name, open_t); \
        if (WRITES(flags)) CHECK("open", path_at(AT_FDCWD, path, full), flags & O_CREAT) \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int fd, const char *path, int flags, ...) { \
        MODE; char full[PATH_MAX]; \
        REAL(#name, openat_t); \
        if (WRITES(flags)) CHECK("open", path_at(fd, path, full), flags & O_CREAT) \
        return real(fd, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t length) {
    char path[PATH_MAX];
    REAL("write", write_t);
    if (!folder) return real(fd, bytes, length);
    switch (fault("write", path_of(fd, path), 1)) {
    case FAIL: return -1;
    case DIE: really_write(fd, bytes, length / 2); die();
    default: return real(fd, bytes, length);
    }
}

ssize_t writev(int fd, const struct iovec *parts, int many) {
    char path[PATH_MAX];
    REAL("writev", ssize_t (*)(int, const struct iovec *, int));
    if (!folder) return real(fd, parts, many);
    switch (fault("write", path_of(fd, path), 1)) {
    case FAIL: return -1;
    case DIE: really_write(fd, parts[0].iov_base, parts[0].iov_len); die();
    default: return real(fd, parts, many);
    }
}

int rename(const char *from, const char *to) {
    char full[PATH_MAX];
    REAL("rename", int (*)(const char *, const char *));
    CHECK("rename", path_at(AT_FDCWD, to, full), 0)
    return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    char full[PATH_MAX];
    REAL("mkdir", int (*)(const char *, mode_t));
    CHECK("mkdir", path_at(AT_FDCWD, path, full), 1)
    return real(path, mode);
}

int rmdir(const char *path) {
    char full[PATH_MAX];
    REAL("rmdir", int (*)(const char *));
    CHECK("rmdir", path_at(AT_FDCWD, path, full), 0)
    return real(path);
}

int unlink(const char *path) {
    char full[PATH_MAX];
    REAL("unlink", int (*)(const char *));
    CHECK("unlink", path_at(AT_FDCWD, path, full), 0)
    return real(path);
}

int unlinkat(int fd, const char *path, int flags) {
    char full[PATH_MAX];
    REAL("unlinkat", int (*)(int, const char *, int));
    CHECK("unlink", path_at(fd, path, full), 0)
    return real(fd, path, flags);
}

int fsync(int fd) {
    char path[PATH_MAX];
    REAL("fsync", int (*)(int));
    if (folder) CHECK("fsync", path_of(fd, path), 0)
    return real(fd);
}

int fdatasync(int fd) {
    char path[PATH_MAX];
    REAL("fdatasync", int (*)(int));
    if (folder) CHECK("fsync", path_of(fd, path), 0)
    return real(fd);
}

#define TRUNCATE(name, type) \
    int name(int fd, type length) { \
        char path[PATH_MAX]; \
        REAL(#name, int (*)(int, type)); \
        if (folder) CHECK("truncate", path_of(fd, path), 0) \
        return real(fd, length); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int flock(int fd, int operation) {
    REAL("flock", int (*)(int, int));
    if (folder && !strcmp(how, "nolock")) { errno = ENOTSUP; return -1; }
    return real(fd, operation);
}
