// floor PARENT [COMMAND...]: the least that a lock by way of ZooKeeper's C client can cost, without being a lock.
// It connects to ZK_HOSTS, creates an ephemeral sequential node under PARENT, lists PARENT, runs COMMAND if there is
// one, deletes the node, waits for every answer, and closes.
//
// Of the ways tried this is the fastest: asynchronous calls sent before the connection stands, so that create and
// list share a round trip, the next step taken in the callback, no environment logged, no name resolved again.

#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <zookeeper/zookeeper.h>

extern char** environ;

static zhandle_t* session;
static char** command;
static char node[256];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int done;

static void check(int status, const char* operation) {
  if (status != ZOK) {
    fprintf(stderr, "floor: %s: %s\n", operation, zerror(status));
    _Exit(1);
  }
}

static void run(void) {
  pid_t child;
  int status;
  if (posix_spawnp(&child, *command, NULL, NULL, command, environ) || waitpid(child, &status, 0) != child || status) {
    fprintf(stderr, "floor: %s failed\n", *command);
    _Exit(1);
  }
}

static void on_session(zhandle_t* handle, int type, int state, const char* path, void* context) {
  (void)handle, (void)type, (void)state, (void)path, (void)context;
}

static void on_created(int status, const char* path, const void* context) {
  (void)context;
  check(status, "create");
  snprintf(node, sizeof node, "%s", path);
}

static void on_deleted(int status, const void* context) {
  (void)context;
  check(status, "delete");
  pthread_mutex_lock(&mutex);
  done = 1;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&mutex);
}

static void on_listed(int status, const struct String_vector* names, const void* context) {
  (void)names, (void)context;
  check(status, "list");
  if (*command) run();
  check(zoo_adelete(session, node, -1, on_deleted, NULL), "delete");
}

int main(int argc, char** argv) {
  const char* hosts = getenv("ZK_HOSTS");
  if (argc < 2 || !hosts) {
    fprintf(stderr, "usage: ZK_HOSTS=HOST:PORT floor PARENT [COMMAND...]\n");
    return 1;
  }
  command = argv + 2;
  char prefix[200];
  snprintf(prefix, sizeof prefix, "%s/floor-", argv[1]);

  zoo_set_debug_level(0);
  session = zookeeper_init2(hosts, on_session, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV, NULL);
  if (!session) {
    perror("floor: zookeeper_init");
    return 1;
  }
  zoo_set_servers_resolution_delay(session, -1);
  check(zoo_acreate(session, prefix, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, on_created, NULL),
        "create");
  check(zoo_aget_children(session, argv[1], 0, on_listed, NULL), "list");

  pthread_mutex_lock(&mutex);
  while (!done) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  return zookeeper_close(session) != ZOK;
}
