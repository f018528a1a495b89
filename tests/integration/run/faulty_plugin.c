/* An entry that does what its items say, for tests of what a job survives.
 *
 * An item is a file whose first word is a verb:
 *   ok          one row: the file's name
 *   skip        no row
 *   twice       two rows
 *   fail        run() fails
 *   exit        the process exits with code 7
 *   crash       SIGSEGV
 *   kill        SIGKILL to itself
 *   memory      allocates until it gets none, and says so
 *   hang        never returns
 *   stop        stops itself (SIGSTOP)
 *   child       starts a child process that outlives the call, then one row
 *   daemon      starts a process in a session of its own whose parent is gone, then one row
 *   remove      removes the file whose path is the second word, then one row
 * A mini-batch without items gives one row: its number.
 * A verb with "-once" after it happens once for that file, then it is "ok": "crash-once".
 *
 * Arguments: --init fail|crash|hang|fail-once, --marks DIR (where "-once" is remembered),
 * --log FILE (one line appended for every call, with the process id), --bad-gpu VALUE: a worker
 * whose CUDA_VISIBLE_DEVICES that is dies in init(), but each one only after another worker has
 * taken up an item since the last; the others do one item, then one for each such death, and from
 * the third on as many as they like. FIFOs "alive" and "dead" in the folder of --marks carry this.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <prs/entry_plugin.h>

typedef struct {
  char init[32];
  char marks[4096];
  char log[4096];
  char bad_gpu[32];
  int items_begun;
} faulty_state;

static faulty_state g_state;

static void log_line(const char* what, const char* item) {
  char line[5000];
  int fd, size;
  if (g_state.log[0] == 0) return;
  size = snprintf(line, sizeof line, "%ld %s %s %s\n", (long)getpid(), what, item,
                  getenv("CUDA_VISIBLE_DEVICES") ? getenv("CUDA_VISIBLE_DEVICES") : "(unset)");
  fd = open(g_state.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (write(fd, line, (size_t)size) != size) abort();
  close(fd);
}

/* Whether this is the first time for that name, in all processes of the test. */
static int first_time(const char* name) {
  char path[8300];
  const char* base = strrchr(name, '/');
  int fd;
  snprintf(path, sizeof path, "%s/%s.mark", g_state.marks, base ? base + 1 : name);
  fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return 0;
  close(fd);
  return 1;
}

/* Puts this process's number `count` times into the FIFO of that name; or takes one out of it (0),
 * and waits for it. */
static pid_t pass_tokens(const char* name, int count) {
  char path[8300];
  pid_t token = getpid();
  const ssize_t size = sizeof token;
  int fd;
  snprintf(path, sizeof path, "%s/%s", g_state.marks, name);
  fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  if (count == 0 && read(fd, &token, sizeof token) != size) abort();
  for (; count > 0; --count) {
    if (write(fd, &token, sizeof token) != size) abort();
  }
  close(fd);
  return token;
}

static void die_on_the_bad_gpu(void) {
  const char* gpus = getenv("CUDA_VISIBLE_DEVICES");
  int last;
  if (g_state.bad_gpu[0] == 0 || gpus == NULL || strcmp(gpus, g_state.bad_gpu) != 0) return;
  pass_tokens("alive", 0);
  last = !first_time("death1") && !first_time("death2");
  pass_tokens("dead", last ? 1000 : 1);
  raise(SIGKILL);
}

static void keep_pace_with_deaths(void) {
  if (g_state.bad_gpu[0] == 0) return;
  if (g_state.items_begun++ > 0) {
    /* There until its agent has seen that it ended. */
    const pid_t dead = pass_tokens("dead", 0);
    while (kill(dead, 0) == 0) sched_yield();
  }
  pass_tokens("alive", 1);
}

static void take_all_memory(void) {
  for (;;) {
    char* block = malloc(16 << 20);
    if (block == NULL) return;
    memset(block, 1, 16 << 20);
  }
}

/* Returns when the daemon has left the worker's process group and its parent is gone. */
static void start_daemon(void) {
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (;;) pause();
  }
  waitpid(child, NULL, 0);
}

static int misbehave(const char* verb, const prs_host* host) {
  if (strcmp(verb, "fail") == 0) {
    host->error(host->self, "the item says fail");
    return 1;
  }
  if (strcmp(verb, "exit") == 0) exit(7);
  if (strcmp(verb, "crash") == 0) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  if (strcmp(verb, "kill") == 0) raise(SIGKILL);
  if (strcmp(verb, "stop") == 0) raise(SIGSTOP);
  if (strcmp(verb, "memory") == 0) {
    take_all_memory();
    host->error(host->self, "out of memory");
    return 1;
  }
  if (strcmp(verb, "hang") == 0) {
    for (;;) pause();
  }
  return 0;
}

static int init(void* state, const prs_host* host, const prs_entry_context* context) {
  faulty_state* own = state;
  char verb[32];
  int i;
  for (i = 0; i + 1 < context->argument_count; i += 2) {
    const char* name = context->arguments[i];
    const char* value = context->arguments[i + 1];
    if (strcmp(name, "--init") == 0) snprintf(own->init, sizeof own->init, "%s", value);
    if (strcmp(name, "--marks") == 0) snprintf(own->marks, sizeof own->marks, "%s", value);
    if (strcmp(name, "--bad-gpu") == 0) snprintf(own->bad_gpu, sizeof own->bad_gpu, "%s", value);
    if (strcmp(name, "--log") == 0) snprintf(own->log, sizeof own->log, "%s", value);
  }
  log_line("init", context->agent_name);
  die_on_the_bad_gpu();
  snprintf(verb, sizeof verb, "%s", own->init);
  if (strstr(verb, "-once") != NULL) {
    *strstr(verb, "-once") = 0;
    if (!first_time("init")) return 0;
  }
  return misbehave(verb, host);
}

static int one_item(const prs_host* host, const char* path) {
  char verb[64] = "";
  char other[4096] = "";
  char* once;
  FILE* file = fopen(path, "r");
  const char* name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  if (file == NULL) {
    host->item_error(host->self, path, strerror(errno));
    return 0;
  }
  if (fscanf(file, "%63s %4095s", verb, other) < 1) verb[0] = 0;
  fclose(file);
  once = strstr(verb, "-once");
  if (once != NULL) {
    *once = 0;
    if (!first_time(name)) strcpy(verb, "ok");
  }
  if (strcmp(verb, "skip") == 0) {
    host->item_error(host->self, path, "the item says skip");
    return 0;
  }
  if (strcmp(verb, "child") == 0 && fork() == 0) {
    for (;;) pause();
  }
  if (strcmp(verb, "daemon") == 0) start_daemon();
  if (strcmp(verb, "remove") == 0 && unlink(other) != 0) abort();
  if (strcmp(verb, "twice") == 0) host->row(host->self, name, strlen(name));
  if (misbehave(verb, host) != 0) return 1;
  host->row(host->self, name, strlen(name));
  return 0;
}

static int run(void* state, const prs_host* host, const prs_mini_batch* mini_batch) {
  int64_t i;
  (void)state;
  if (mini_batch->file_count == 0 && mini_batch->column_count == 0) {
    char row[32];
    const int size = snprintf(row, sizeof row, "rank %lld", (long long)mini_batch->index);
    host->row(host->self, row, (size_t)size);
  }
  for (i = 0; i < mini_batch->file_count; ++i) {
    log_line("run", mini_batch->files[i]);
    keep_pace_with_deaths();
    if (one_item(host, mini_batch->files[i]) != 0) return 1;
  }
  return 0;
}

static void shut_down(void* state) {
  (void)state;
  log_line("shutdown", "-");
}

__attribute__((visibility("default"))) int prs_entry_plugin(prs_entry_plugin_table* table) {
  table->abi_version = PRS_ENTRY_ABI_VERSION;
  table->size = sizeof *table;
  table->state = &g_state;
  table->init = init;
  table->run = run;
  table->shutdown = shut_down;
  return 0;
}
