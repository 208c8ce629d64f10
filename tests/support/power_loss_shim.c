/* A library for LD_PRELOAD that writes down what a folder's file system promises to keep.

   POWER_LOSS_UNDER    the folder watched
   POWER_LOSS_JOURNAL  folder of the journal and of the contents it names, outside the other

   One line per call that succeeded, fields separated by tabs, in the order of the calls of all
   processes:
     C path          a file was made          R from to   renamed or replaced
     M path          a folder was made        U path      a name was removed
     S name path     the file was flushed: its content is kept as content-name
     D path          the folder was flushed */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread int journal = -1; /* open and locked between begin() and finish() */
static int contents;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static int is_watched(const char *path) {
  const char *under = getenv("POWER_LOSS_UNDER");
  const size_t length = under != NULL ? strlen(under) : 0;
  return length > 0 && strncmp(path, under, length) == 0 &&
         (path[length] == '/' || path[length] == '\0');
}

static int path_of(int descriptor, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return 1;
}

/* The path that a call with a folder's descriptor means. */
static void full_path(int folder, const char *name, char path[PATH_MAX]) {
  char base[PATH_MAX] = "";
  const int absolute = name[0] == '/';
  const int known = absolute || (folder == AT_FDCWD ? getcwd(base, sizeof base) != NULL
                                                    : path_of(folder, base));
  const int length = snprintf(path, PATH_MAX, "%s%s%s", base, absolute ? "" : "/", name);
  if (!known || length < 0 || length >= PATH_MAX) path[0] = '\0';
}

/* No other watched call of any process happens until finish(). */
static int begin(const char *path) {
  if (!is_watched(path)) return 0;
  char name[PATH_MAX];
  snprintf(name, sizeof name, "%s/journal", getenv("POWER_LOSS_JOURNAL"));
  journal = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (journal < 0) abort();
  syscall(SYS_flock, journal, LOCK_EX);
  return 1;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[2 * PATH_MAX];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (syscall(SYS_write, journal, line, (size_t)length) != length) abort();
}

static void finish(int watched) {
  if (!watched) return;
  const int saved = errno;
  syscall(SYS_close, journal);
  journal = -1;
  errno = saved;
}

/* Keeps the content of an open file as content-PID-NUMBER; its number. */
static int keep_content(int descriptor) {
  char name[PATH_MAX], own[64];
  ++contents;
  snprintf(name, sizeof name, "%s/content-%d-%d", getenv("POWER_LOSS_JOURNAL"), getpid(), contents);
  snprintf(own, sizeof own, "/proc/self/fd/%d", descriptor);
  const int from = (int)syscall(SYS_openat, AT_FDCWD, own, O_RDONLY | O_CLOEXEC);
  const int to = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (from < 0 || to < 0) abort();
  char part[65536];
  long got;
  while ((got = syscall(SYS_read, from, part, sizeof part)) > 0) {
    if (syscall(SYS_write, to, part, got) != got) abort();
  }
  syscall(SYS_close, from);
  syscall(SYS_close, to);
  return contents;
}

static int flush(const char *call, int fd) {
  int (*real)(int) = next(call);
  char path[PATH_MAX];
  struct stat status;
  if (!path_of(fd, path) || !begin(path)) return real(fd);
  const int result = real(fd);
  if (result == 0 && fstat(fd, &status) == 0) {
    if (S_ISDIR(status.st_mode)) {
      note("D\t%s\n", path);
    } else {
      note("S\t%d-%d\t%s\n", getpid(), keep_content(fd), path);
    }
  }
  finish(1);
  return result;
}

int fsync(int fd) { return flush("fsync", fd); }
int fdatasync(int fd) { return flush("fdatasync", fd); }

static int open_at(int folder, const char *name, int flags, mode_t mode) {
  int (*real)(int, const char *, int, ...) = next("openat");
  char path[PATH_MAX];
  struct stat status;
  if ((flags & O_CREAT) == 0) return real(folder, name, flags, mode);
  full_path(folder, name, path);
  const int watched = begin(path);
  const int is_new = watched && lstat(path, &status) != 0;
  const int fd = real(folder, name, flags, mode);
  if (fd >= 0 && is_new) note("C\t%s\n", path);
  finish(watched);
  return fd;
}

#define MODE_OF(flags)                            \
  mode_t mode = 0;                                \
  if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) { \
    va_list arguments;                            \
    va_start(arguments, flags);                   \
    mode = va_arg(arguments, mode_t);             \
    va_end(arguments);                            \
  }

int open(const char *name, int flags, ...) {
  MODE_OF(flags)
  return open_at(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
  MODE_OF(flags)
  return open_at(AT_FDCWD, name, flags, mode);
}
int openat(int folder, const char *name, int flags, ...) {
  MODE_OF(flags)
  return open_at(folder, name, flags, mode);
}
int openat64(int folder, const char *name, int flags, ...) {
  MODE_OF(flags)
  return open_at(folder, name, flags, mode);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  int (*real)(int, const char *, int, const char *, unsigned) = next("renameat2");
  char old_path[PATH_MAX], new_path[PATH_MAX];
  full_path(from_folder, from, old_path);
  full_path(to_folder, to, new_path);
  const int watched = begin(new_path);
  const int result = real(from_folder, from, to_folder, to, flags);
  if (watched && result == 0) note("R\t%s\t%s\n", old_path, new_path);
  finish(watched);
  return result;
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
  return renameat2(from_folder, from, to_folder, to, 0);
}
int rename(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *name, int flags) {
  int (*real)(int, const char *, int) = next("unlinkat");
  char path[PATH_MAX];
  full_path(folder, name, path);
  const int watched = begin(path);
  const int result = real(folder, name, flags);
  if (watched && result == 0) note("U\t%s\n", path);
  finish(watched);
  return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
  struct stat status;
  const int is_folder = lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
  return unlinkat(AT_FDCWD, path, is_folder ? AT_REMOVEDIR : 0);
}

int mkdirat(int folder, const char *name, mode_t mode) {
  int (*real)(int, const char *, mode_t) = next("mkdirat");
  char path[PATH_MAX];
  full_path(folder, name, path);
  const int watched = begin(path);
  const int result = real(folder, name, mode);
  if (watched && result == 0) note("M\t%s\n", path);
  finish(watched);
  return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
