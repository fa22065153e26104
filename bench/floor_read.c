// floor_read [--watch] PATH: the least that ZooKeeper's C client needs to read a node, or to tell of its changes.
// It connects to ZK_HOSTS, gets PATH, prints its data and a newline, waits for the answer, and closes. With --watch it
// goes on instead: when the node has changed it gets and prints it again. It checks nothing else.
//
// As in floor.c: the request is sent before the connection stands, the next step is taken in the callback, no
// environment is logged, and no name is resolved again.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <zookeeper/zookeeper.h>

static zhandle_t* session;
static const char* node;
static int watch;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int done;

static void check(int status, const char* operation) {
  if (status != ZOK) {
    fprintf(stderr, "floor_read: %s: %s\n", operation, zerror(status));
    _Exit(1);
  }
}

static void on_session(zhandle_t* handle, int type, int state, const char* path, void* context) {
  (void)handle, (void)type, (void)state, (void)path, (void)context;
}

static void get(void);

static void on_changed(zhandle_t* handle, int type, int state, const char* path, void* context) {
  (void)handle, (void)state, (void)path, (void)context;
  if (type == ZOO_CHANGED_EVENT) get();
}

static void on_data(int status, const char* data, int size, const struct Stat* stat, const void* context) {
  (void)stat, (void)context;
  check(status, "get");
  const struct iovec line[] = {{(void*)data, size < 0 ? 0 : (size_t)size}, {"\n", 1}};
  if (writev(1, line, 2) < 0) _Exit(1);
  if (watch) return;
  pthread_mutex_lock(&mutex);
  done = 1;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&mutex);
}

static void get(void) { check(zoo_awget(session, node, watch ? on_changed : NULL, NULL, on_data, NULL), "get"); }

int main(int argc, char** argv) {
  const char* hosts = getenv("ZK_HOSTS");
  watch = argc == 3 && !strcmp(argv[1], "--watch");
  if (argc != 2 + watch || !hosts) {
    fprintf(stderr, "usage: ZK_HOSTS=HOST:PORT floor_read [--watch] PATH\n");
    return 1;
  }
  node = argv[argc - 1];

  zoo_set_debug_level(0);
  session = zookeeper_init2(hosts, on_session, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV, NULL);
  if (!session) {
    perror("floor_read: zookeeper_init");
    return 1;
  }
  zoo_set_servers_resolution_delay(session, -1);
  get();

  pthread_mutex_lock(&mutex);
  while (!done) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
  return zookeeper_close(session) != ZOK;
}
