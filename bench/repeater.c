/*
 * A load that costs next to nothing: sends the same bytes again and again, and counts answers of a known length.
 * It knows neither FastCGI nor HTTP, so that it serves both and favours nobody.
 *
 *   repeater ADDRESS kept|new CONNECTIONS REQUEST-BYTES ANSWER-BYTES     unix socket path (with a slash) or host:port
 *
 * The request comes first on standard input. Each line after it is a number of milliseconds: for so long each connection sends a
 * request as soon as the answer to the one before is whole, then those under way are waited for, and a line tells how many were
 * answered. `kept` connections stay open from line to line. An answer of another length ends the program with a message.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024, REQUEST_MAX = 131072, READ_MAX = 262144, PATIENCE_MS = 10000 };

struct connection {
  int fd; /* -1: none */
  size_t received;
};

static struct connection connections[CONNECTIONS_MAX];
static char request[REQUEST_MAX], buffer[READ_MAX];
static size_t request_length, answer_length;
static struct sockaddr_storage address;
static socklen_t address_length;
static int poller, keeps;

static void die(const char *what) {
  fprintf(stderr, "repeater: %s\n", what);
  exit(1);
}

static void die_of_system(const char *what) {
  fprintf(stderr, "repeater: %s: %s\n", what, strerror(errno));
  exit(1);
}

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void read_address(const char *text) {
  if (strchr(text, '/')) {
    struct sockaddr_un *name = (struct sockaddr_un *)&address;
    if (strlen(text) >= sizeof name->sun_path) die("the address is too long");
    name->sun_family = AF_UNIX;
    strcpy(name->sun_path, text);
    address_length = sizeof *name;
  } else {
    struct sockaddr_in *name = (struct sockaddr_in *)&address;
    char host[64];
    int port;
    if (sscanf(text, "%63[0-9.]:%d", host, &port) != 2) die("the address is neither a path nor host:port");
    name->sin_family = AF_INET;
    name->sin_port = htons(port);
    inet_pton(AF_INET, host, &name->sin_addr);
    address_length = sizeof *name;
  }
}

static void open_connection(struct connection *c) {
  int one = 1, fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, address_length) < 0) die_of_system("connect");
  if (address.ss_family == AF_INET) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  c->fd = fd;
}

static void close_connection(struct connection *c) {
  close(c->fd);
  c->fd = -1;
}

/* Blocks where the socket takes not all at once: the request is small, and the answer begins after its end. */
static void start_request(struct connection *c) {
  char surplus;
  /* A kept connection may have been closed while it was idle. */
  if (c->fd >= 0 && recv(c->fd, &surplus, 1, MSG_PEEK | MSG_DONTWAIT) == 0) close_connection(c);
  if (c->fd < 0) open_connection(c);
  c->received = 0;
  for (size_t sent = 0; sent < request_length;) {
    ssize_t length = send(c->fd, request + sent, request_length - sent, MSG_NOSIGNAL);
    if (length < 0) die_of_system("send");
    sent += length;
  }
}

/* 1: the answer is whole. */
static int receive(struct connection *c) {
  ssize_t length = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (length < 0 && errno == EAGAIN) return 0;
  if (length < 0) die_of_system("recv");
  if (length == 0) die("a connection closed before its answer was whole");
  c->received += length;
  if (c->received > answer_length) die("an answer is longer than the first was");
  if (c->received < answer_length) return 0;
  if (!keeps) close_connection(c);
  return 1;
}

static unsigned long run(int count, long long milliseconds) {
  long long deadline = now_ms() + milliseconds;
  unsigned long answers = 0;
  int under_way = count;
  for (int i = 0; i < count; i++) start_request(&connections[i]);
  while (under_way > 0) {
    struct epoll_event events[CONNECTIONS_MAX];
    int ready = epoll_wait(poller, events, CONNECTIONS_MAX, PATIENCE_MS);
    if (ready < 0) die_of_system("epoll_wait");
    if (ready == 0) die("no byte came for 10 s");
    int goes_on = now_ms() < deadline;
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (!receive(c)) continue;
      answers++;
      if (goes_on) start_request(c);
      else under_way--;
    }
  }
  return answers;
}

int main(int arguments, char **argument) {
  if (arguments != 6) die("usage: repeater ADDRESS kept|new CONNECTIONS REQUEST-BYTES ANSWER-BYTES");
  int count = atoi(argument[3]);
  if (count < 1 || count > CONNECTIONS_MAX) die("too many connections");
  read_address(argument[1]);
  keeps = strcmp(argument[2], "kept") == 0;
  answer_length = strtoull(argument[5], NULL, 10);
  request_length = strtoull(argument[4], NULL, 10);
  if (request_length > sizeof request) die("the request is too long");
  if (fread(request, 1, request_length, stdin) != request_length) die("the request is not whole");
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < count; i++) connections[i].fd = -1;
  char line[32];
  while (fgets(line, sizeof line, stdin)) {
    printf("%lu\n", run(count, atoll(line)));
    fflush(stdout);
  }
  return 0;
}
