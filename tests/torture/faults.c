/* A faulty disk and a wrong clock between a program and its C library, for the torture tests (LD_PRELOAD).
 *
 * Calls on files below $TORTURE_DATA fail as the control file says, and what they did is recorded for the replay of a
 * power loss. The control file is mapped into memory, so that a test can change it while the program runs. The layouts
 * of the control file and of the records are repeated in faults.rs and replay.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic int64_t clock_offset_ms; /* added to the wall clock */
    _Atomic uint64_t calls;          /* which calls fail: the bits below */
    _Atomic uint64_t error;          /* errno of a failed call */
    _Atomic uint64_t per_million;    /* how many of them fail */
    _Atomic uint64_t partial;        /* writes: 1 = half of it, then the error; 2 = half of it, without an error */
    _Atomic uint64_t loads;          /* processes that loaded this library */
    _Atomic uint64_t injected;       /* calls that failed, or were cut short */
};

enum { OPEN = 1, READ = 2, WRITE = 4, TRUNCATE = 8, SYNC = 16, NAMES = 32 };
enum { RECORD_START, RECORD_OPEN, RECORD_WRITE, RECORD_TRUNCATE, RECORD_DATA_SYNC, RECORD_SYNC, RECORD_RENAME,
       RECORD_UNLINK };

struct record {
    uint32_t kind;
    uint32_t file; /* number of the open file, unique within a process */
    uint64_t offset;
    uint64_t length; /* bytes that follow */
};

#define DESCRIPTORS 65536
#define IN_PIECES 4096

static struct control *control;
static char data[4096];
static size_t data_length;
static int log_descriptor = -1;
static _Atomic uint32_t files[DESCRIPTORS]; /* 0: not below the data directory */
static uint32_t last_file;
static _Atomic uint64_t random_state;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("TORTURE_CONTROL");
    const char *below = getenv("TORTURE_DATA");
    const char *log = getenv("TORTURE_LOG");
    if (!path || !below || strlen(below) + 2 > sizeof data) return;
    int descriptor = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    REAL(close)(descriptor);
    if (mapped == MAP_FAILED) return;
    strcpy(data, below);
    strcat(data, "/");
    data_length = strlen(data);
    random_state = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
    if (log) {
        log_descriptor = REAL(open)(log, O_WRONLY | O_APPEND | O_CLOEXEC);
        struct record start = {RECORD_START, 0, 0, 0};
        if (log_descriptor < 0 || REAL(write)(log_descriptor, &start, sizeof start) != (ssize_t)sizeof start) abort();
    }
    control = mapped;
    control->loads++;
}

/* The file that holds the address of a node, and its temporary form, is no data: a test needs it to find the node. */
static int is_data(const char *path) {
    if (!control || !path || strncmp(path, data, data_length) != 0) return 0;
    const char *name = path + data_length;
    return strncmp(name + (*name == '.'), "address", strlen("address")) != 0;
}

static uint32_t file_of(int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS ? files[descriptor] : 0;
}

static int fails(int call) {
    if (!control || !(control->calls & (uint64_t)call)) return 0;
    uint64_t mixed = atomic_fetch_add(&random_state, 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    if ((mixed ^ (mixed >> 31)) % 1000000 >= control->per_million) return 0;
    control->injected++;
    errno = (int)control->error;
    return 1;
}

static void record(uint32_t kind, uint32_t file, uint64_t offset, const void *bytes, uint64_t length) {
    if (log_descriptor < 0) return;
    struct record head = {kind, file, offset, length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    /* One call, and files on a disk take all of it: a killed process leaves a whole record, or a cut last one. */
    if (REAL(writev)(log_descriptor, parts, 2) != (ssize_t)(sizeof head + length)) abort();
}

static void lock(void) { pthread_mutex_lock(&one_at_a_time); }

static void unlock(void) {
    int kept = errno;
    pthread_mutex_unlock(&one_at_a_time);
    errno = kept;
}

static int opened(const char *path, int flags, mode_t mode) {
    __typeof__(&open) real_open = REAL(open);
    if (!is_data(path)) {
        int descriptor = real_open(path, flags, mode);
        if (descriptor >= 0 && descriptor < DESCRIPTORS) files[descriptor] = 0;
        return descriptor;
    }
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (writes && fails(OPEN)) return -1;
    lock();
    int descriptor = real_open(path, flags, mode);
    struct stat about;
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
        files[descriptor] = 0;
        /* A file without a name is gone after a power loss anyway. */
        if ((flags & O_TMPFILE) != O_TMPFILE && fstat(descriptor, &about) == 0) {
            uint32_t file = ++last_file;
            files[descriptor] = file;
            if (S_ISREG(about.st_mode)) record(RECORD_OPEN, file, (flags & O_TRUNC) != 0, path, strlen(path));
        }
    }
    unlock();
    return descriptor;
}

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(more, int) : 0;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return opened(path, flags, mode);
}

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < DESCRIPTORS) files[descriptor] = 0;
    return REAL(close)(descriptor);
}

ssize_t pread64(int descriptor, void *bytes, size_t length, off64_t offset) {
    if (file_of(descriptor) && fails(READ)) return -1;
    return REAL(pread64)(descriptor, bytes, length, offset);
}

ssize_t read(int descriptor, void *bytes, size_t length) {
    if (file_of(descriptor) && fails(READ)) return -1;
    return REAL(read)(descriptor, bytes, length);
}

/* How much of a write reaches the file, and whether it fails afterwards. */
static size_t reaching(size_t length, int *failed) {
    *failed = fails(WRITE);
    if (!*failed) return length;
    uint64_t partial = control->partial;
    if (partial == 2) *failed = 0;
    return partial && length > 1 ? length / 2 : partial == 2 ? length : 0;
}

static ssize_t written(int descriptor, const void *bytes, size_t length, off64_t offset, int positioned) {
    int failed;
    size_t part = reaching(length, &failed);
    int error = errno;
    if (failed && part == 0) return -1;
    uint32_t file = file_of(descriptor);
    lock();
    int appends = REAL(fcntl64)(descriptor, F_GETFL) & O_APPEND;
    if (!positioned) offset = REAL(lseek64)(descriptor, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t done = positioned ? REAL(pwrite64)(descriptor, bytes, part, offset) : REAL(write)(descriptor, bytes, part);
    if (done > 0) record(RECORD_WRITE, file, (uint64_t)offset, bytes, (uint64_t)done);
    unlock();
    if (failed) {
        errno = error;
        return -1;
    }
    return done;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    if (!file_of(descriptor)) return REAL(pwrite64)(descriptor, bytes, length, offset);
    return written(descriptor, bytes, length, offset, 1);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    if (!file_of(descriptor)) return REAL(write)(descriptor, bytes, length);
    return written(descriptor, bytes, length, 0, 0);
}

/* Only the first part is written: that is a short write, which callers have to expect anyway. */
ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (!file_of(descriptor)) return REAL(writev)(descriptor, parts, count);
    for (int at = 0; at < count; at++)
        if (parts[at].iov_len > 0) return written(descriptor, parts[at].iov_base, parts[at].iov_len, 0, 0);
    return 0;
}

int ftruncate64(int descriptor, off64_t length) {
    uint32_t file = file_of(descriptor);
    if (!file) return REAL(ftruncate64)(descriptor, length);
    if (fails(TRUNCATE)) return -1;
    lock();
    int done = REAL(ftruncate64)(descriptor, length);
    if (done == 0) record(RECORD_TRUNCATE, file, (uint64_t)length, NULL, 0);
    unlock();
    return done;
}

static int synced(int descriptor, int whole) {
    uint32_t file = file_of(descriptor);
    int (*call)(int) = whole ? REAL(fsync) : REAL(fdatasync);
    if (!file) return call(descriptor);
    if (fails(SYNC)) return -1;
    lock();
    int done = call(descriptor);
    if (done == 0) record(whole ? RECORD_SYNC : RECORD_DATA_SYNC, file, 0, NULL, 0);
    unlock();
    return done;
}

int fsync(int descriptor) { return synced(descriptor, 1); }

int fdatasync(int descriptor) { return synced(descriptor, 0); }

int rename(const char *from, const char *to) {
    if (!is_data(from) && !is_data(to)) return REAL(rename)(from, to);
    if (fails(NAMES)) return -1;
    char both[2 * IN_PIECES];
    size_t length = strlen(from) + 1 + strlen(to);
    if (length >= sizeof both) abort();
    strcpy(both, from);
    strcpy(both + strlen(from) + 1, to);
    lock();
    int done = REAL(rename)(from, to);
    if (done == 0) record(RECORD_RENAME, 0, 0, both, length);
    unlock();
    return done;
}

int unlink(const char *path) {
    if (!is_data(path)) return REAL(unlink)(path);
    if (fails(NAMES)) return -1;
    lock();
    int done = REAL(unlink)(path);
    if (done == 0) record(RECORD_UNLINK, 0, 0, path, strlen(path));
    unlock();
    return done;
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real_clock;
    if (!real_clock) real_clock = REAL(clock_gettime);
    int done = real_clock(clock, now);
    if (done == 0 && control && is_wall(clock)) {
        int64_t offset = control->clock_offset_ms;
        int64_t nanoseconds = now->tv_nsec + offset % 1000 * 1000000;
        int64_t carried = nanoseconds < 0 ? -1 : nanoseconds >= 1000000000 ? 1 : 0;
        now->tv_sec += offset / 1000 + carried;
        now->tv_nsec = nanoseconds - carried * 1000000000;
    }
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec precise;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
    if (kept) *kept = precise.tv_sec;
    return precise.tv_sec;
}
