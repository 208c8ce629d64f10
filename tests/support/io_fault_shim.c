/* A library for LD_PRELOAD that makes calls fail as a full disk, a quota or a broken disk would.

   IO_FAULT_UNDER  only files below this folder count (their path when the call is made)
   IO_FAULT_COUNT  the call that fails, 1 for the first; 0: none, the calls are only counted
   IO_FAULT_ERRNO  what it fails with; 0: a short write instead
   IO_FAULT_ONCE   1: only that call; else all from then on
   IO_FAULT_TOTAL  file that gets the number of calls when the process ends
   IO_FAULT_LOCKS  1: flock and fcntl locks fail with ENOLCK instead, nothing else does */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long calls;

static long setting(const char *name) {
  const char *text = getenv(name);
  return text != NULL ? atol(text) : 0;
}

static int is_watched_path(const char *path) {
  const char *under = getenv("IO_FAULT_UNDER");
  return under != NULL && strncmp(path, under, strlen(under)) == 0;
}

static int is_watched(int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return is_watched_path(path);
}

/* Whether this call is to fail. Calls on names are never interrupted by signals. */
static int strikes(int watched) {
  if (!watched || setting("IO_FAULT_LOCKS") != 0) return 0;
  pthread_mutex_lock(&mutex);
  const long call = ++calls;
  pthread_mutex_unlock(&mutex);
  const long wanted = setting("IO_FAULT_COUNT");
  if (wanted == 0) return 0;
  return setting("IO_FAULT_ONCE") != 0 ? call == wanted : call >= wanted;
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

#define FAIL_OR(call)                         \
  do {                                        \
    if (setting("IO_FAULT_ERRNO") != 0) {     \
      errno = (int)setting("IO_FAULT_ERRNO"); \
      return -1;                              \
    }                                         \
    return call;                              \
  } while (0)

ssize_t write(int fd, const void *data, size_t bytes) {
  ssize_t (*real)(int, const void *, size_t) = next("write");
  if (strikes(is_watched(fd))) FAIL_OR(real(fd, data, bytes > 1 ? bytes / 2 : bytes));
  return real(fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  ssize_t (*real)(int, const void *, size_t, off_t) = next("pwrite");
  if (strikes(is_watched(fd))) FAIL_OR(real(fd, data, bytes > 1 ? bytes / 2 : bytes, offset));
  return real(fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
  return pwrite(fd, data, bytes, offset);
}

int fsync(int fd) {
  int (*real)(int) = next("fsync");
  if (strikes(is_watched(fd))) FAIL_OR(real(fd));
  return real(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  int (*real)(int, int, off_t, off_t) = next("fallocate");
  if (strikes(is_watched(fd))) FAIL_OR(real(fd, mode, offset, bytes));
  return real(fd, mode, offset, bytes);
}

int fallocate64(int fd, int mode, off_t offset, off_t bytes) {
  return fallocate(fd, mode, offset, bytes);
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = next("rename");
  if (setting("IO_FAULT_ERRNO") != EINTR && strikes(is_watched_path(to))) FAIL_OR(real(from, to));
  return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
  int (*real)(const char *, mode_t) = next("mkdir");
  if (setting("IO_FAULT_ERRNO") != EINTR && strikes(is_watched_path(path))) FAIL_OR(real(path, mode));
  return real(path, mode);
}

int flock(int fd, int operation) {
  int (*real)(int, int) = next("flock");
  if (setting("IO_FAULT_LOCKS") != 0 && is_watched(fd)) {
    errno = ENOLCK;
    return -1;
  }
  return real(fd, operation);
}

__attribute__((destructor)) static void tell_total(void) {
  const char *file = getenv("IO_FAULT_TOTAL");
  if (file == NULL) return;
  FILE *out = fopen(file, "w");
  if (out == NULL) return;
  fprintf(out, "%ld\n", calls);
  fclose(out);
}
