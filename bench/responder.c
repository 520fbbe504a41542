/*
 * The null application of the bench: a FastCGI responder that costs next to nothing, the same for every server measured.
 *
 *   responder ADDRESS...     unix socket path (with a slash) or 127.0.0.1 port number; one thread, until SIGTERM
 *
 * REQUEST_URI decides the answer, STDIN is always read to its end first (FastCGI 1.0, section 6.2):
 *   /stream...?N   N body bytes (10 000 000 without N), no Content-Length, like a script that prints
 *   anything else  a page of about 200 bytes that tells how many STDIN bytes came
 * FCGI_KEEP_CONN is honoured; requests of one connection come one after another (no multiplexing).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { BEGIN_REQUEST = 1, ABORT_REQUEST = 2, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, GET_VALUES = 9, GET_VALUES_RESULT = 10 };
enum { HEADER = 8, RECORD_MAX = HEADER + 65535 + 255, PIECE = 32768, BLOCKS = 16, CONNECTIONS = 65536 };

/* What is still to be sent is never stored: it is a function of the offset `sent` (see `send_answer`). */
struct connection {
  struct connection *next_free;
  size_t in_length;
  size_t params_length;
  uint64_t stdin_bytes;
  uint16_t id;
  int keep, answering, wants_out;
  unsigned char head[1024]; /* first STDOUT record; of a small page the whole answer */
  size_t head_length;
  uint64_t stream_bytes, sent;
  unsigned char params[32768];
  unsigned char in[2 * RECORD_MAX];
};

static struct connection *connections[CONNECTIONS], *free_connections;
static unsigned char pattern[PIECE];
static int poller;

static void die(const char *what) {
  fprintf(stderr, "responder: %s: %s\n", what, strerror(errno));
  exit(1);
}

static unsigned char *put_header(unsigned char *at, int type, int id, size_t content) {
  at[0] = 1; at[1] = type; at[2] = id >> 8; at[3] = id & 255;
  at[4] = content >> 8; at[5] = content & 255; at[6] = 0; at[7] = 0;
  return at + HEADER;
}

/* The end of STDOUT, then END_REQUEST with appStatus 0 and FCGI_REQUEST_COMPLETE. */
static unsigned char *put_end(unsigned char *at, int id) {
  at = put_header(at, STDOUT, id, 0);
  at = put_header(at, END_REQUEST, id, 8);
  memset(at, 0, 8);
  return at + 8;
}

/* Used again without clearing the buffers: many servers open a connection for each request. */
static void take_connection(int fd) {
  struct connection *c = free_connections;
  if (c) free_connections = c->next_free;
  else if (!(c = malloc(sizeof *c))) die("malloc");
  c->in_length = c->params_length = 0;
  c->answering = c->wants_out = c->keep = 0;
  connections[fd] = c;
}

static void drop(int fd) {
  close(fd);
  connections[fd]->next_free = free_connections;
  free_connections = connections[fd];
  connections[fd] = NULL;
}

static uint32_t read_length(const unsigned char **at, const unsigned char *end) {
  if (*at >= end) return UINT32_MAX;
  if (**at < 128) return *(*at)++;
  if (end - *at < 4) return UINT32_MAX;
  uint32_t length = (uint32_t)((*at)[0] & 127) << 24 | (*at)[1] << 16 | (*at)[2] << 8 | (*at)[3];
  *at += 4;
  return length;
}

static const char *find_request_uri(struct connection *c, uint32_t *length) {
  const unsigned char *at = c->params, *end = c->params + c->params_length;
  while (at < end) {
    uint32_t name = read_length(&at, end), value = read_length(&at, end);
    if ((uint64_t)name + value > (uint64_t)(end - at)) break;
    if (name == 11 && memcmp(at, "REQUEST_URI", 11) == 0) {
      *length = value;
      return (const char *)at + name;
    }
    at += (size_t)name + value;
  }
  *length = 0;
  return "";
}

static void start_answer(struct connection *c) {
  uint32_t length;
  const char *uri = find_request_uri(c, &length);
  char text[700];
  int text_length;
  c->sent = 0;
  c->stream_bytes = 0;
  if (length >= 7 && memcmp(uri, "/stream", 7) == 0) {
    const char *query = memchr(uri, '?', length);
    c->stream_bytes = 10000000;
    if (query) {
      c->stream_bytes = 0;
      for (query++; query < uri + length && *query >= '0' && *query <= '9'; query++)
        c->stream_bytes = c->stream_bytes * 10 + (*query - '0');
    }
    text_length = snprintf(text, sizeof text, "Content-Type: application/octet-stream\r\n\r\n");
  } else {
    text_length = snprintf(text, sizeof text,
      "Status: 200 OK\r\nX-Powered-By: null\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n"
      "<!doctype html>\n<title>Null</title>\n<p>The application read %llu bytes and has nothing to say, "
      "which it says in about two hundred bytes.</p>\n", (unsigned long long)c->stdin_bytes);
  }
  unsigned char *at = put_header(c->head, STDOUT, c->id, text_length);
  memcpy(at, text, text_length);
  at += text_length;
  if (c->stream_bytes == 0) at = put_end(at, c->id);
  c->head_length = at - c->head;
  c->answering = 1;
}

/*
 * The answer is: head, full records of PIECE bytes, one shorter record, the end. Sends from offset `sent` on.
 * 1: all sent; 0: the socket is full; -1: the web server is gone.
 */
static int send_answer(int fd, struct connection *c) {
  unsigned char full[HEADER], last[HEADER], end[3 * HEADER];
  uint64_t records = c->stream_bytes / PIECE, rest = c->stream_bytes % PIECE;
  put_header(full, STDOUT, c->id, PIECE);
  put_header(last, STDOUT, c->id, rest);
  put_end(end, c->id);
  uint64_t body = c->head_length, tail = body + records * (HEADER + PIECE), trailer = tail + (rest ? HEADER + rest : 0);
  uint64_t total = c->stream_bytes ? trailer + sizeof end : c->head_length;
  while (c->sent < total) {
    struct iovec parts[2 * BLOCKS + 2];
    int count = 0;
    uint64_t at = c->sent;
    while (at < total && count < 2 * BLOCKS) {
      unsigned char *from;
      uint64_t length;
      if (at < body) {
        from = c->head + at; length = body - at;
      } else if (at < trailer) {
        int in_tail = at >= tail;
        uint64_t within = in_tail ? at - tail : (at - body) % (HEADER + PIECE);
        uint64_t content = in_tail ? rest : PIECE;
        if (within < HEADER) { from = (in_tail ? last : full) + within; length = HEADER - within; }
        else { from = pattern + (within - HEADER); length = HEADER + content - within; }
      } else {
        from = end + (at - trailer); length = total - at;
      }
      parts[count].iov_base = from;
      parts[count++].iov_len = length;
      at += length;
    }
    ssize_t sent = count == 1 ? write(fd, parts[0].iov_base, parts[0].iov_len) : writev(fd, parts, count);
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    c->sent += sent;
  }
  return 1;
}

static void watch(int fd, struct connection *c, int wants_out) {
  if (c->wants_out == wants_out) return;
  struct epoll_event event = { .events = wants_out ? EPOLLOUT : EPOLLIN, .data.fd = fd };
  epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
  c->wants_out = wants_out;
}

/* 0: the connection was dropped. */
static int go_on(int fd, struct connection *c) {
  int done = send_answer(fd, c);
  if (done < 0 || (done && !c->keep)) return drop(fd), 0;
  if (done) c->answering = 0;
  watch(fd, c, !done);
  return 1;
}

/* Takes whole records from the input, except that STDIN content is counted as it comes. */
static void take_records(int fd, struct connection *c) {
  size_t at = 0;
  while (!c->answering && c->in_length - at >= HEADER) {
    unsigned char *r = c->in + at;
    int type = r[1];
    size_t content = r[4] << 8 | r[5], size = HEADER + content + r[6];
    if (r[0] != 1) return drop(fd);
    if (c->in_length - at < size) break;
    at += size;
    if (type == BEGIN_REQUEST) {
      c->id = r[2] << 8 | r[3];
      c->keep = r[HEADER + 2] & 1;
      c->params_length = 0;
      c->stdin_bytes = 0;
    } else if (type == PARAMS) {
      if (c->params_length + content > sizeof c->params) return drop(fd);
      memcpy(c->params + c->params_length, r + HEADER, content);
      c->params_length += content;
    } else if (type == STDIN && content > 0) {
      c->stdin_bytes += content;
    } else if (type == STDIN) {
      start_answer(c);
      if (!go_on(fd, c)) return;
    } else if (type == ABORT_REQUEST) {
      return drop(fd);
    } else if (type == GET_VALUES) {
      unsigned char result[HEADER + 18];
      put_header(result, GET_VALUES_RESULT, 0, 18);
      memcpy(result + HEADER, "\017\001FCGI_MPXS_CONNS0", 18);
      if (write(fd, result, sizeof result) < 0) return drop(fd);
    }
  }
  c->in_length -= at;
  memmove(c->in, c->in + at, c->in_length);
}

static void receive(int fd, struct connection *c) {
  ssize_t length = read(fd, c->in + c->in_length, sizeof c->in - c->in_length);
  if (length == 0 || (length < 0 && errno != EAGAIN)) return drop(fd);
  if (length < 0) return;
  c->in_length += length;
  take_records(fd, c);
}

static int listen_at(const char *address) {
  int fd, one = 1;
  if (strchr(address, '/')) {
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    if (strlen(address) >= sizeof name.sun_path) { errno = ENAMETOOLONG; die(address); }
    strcpy(name.sun_path, address);
    unlink(address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0) die(address);
    chmod(address, 0666); /* the servers run as different users */
  } else {
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(atoi(address)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by accepted connections */
    if (bind(fd, (struct sockaddr *)&name, sizeof name) < 0) die(address);
  }
  if (listen(fd, 4096) < 0) die(address);
  return fd;
}

int main(int count, char **addresses) {
  if (count < 2) return fprintf(stderr, "Usage: responder ADDRESS...\n"), 2;
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < PIECE; i++) pattern[i] = 'a' + i % 26;
  poller = epoll_create1(EPOLL_CLOEXEC);
  int last_listener = 0;
  for (int i = 1; i < count; i++) {
    last_listener = listen_at(addresses[i]);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = last_listener };
    epoll_ctl(poller, EPOLL_CTL_ADD, last_listener, &event);
  }
  printf("listening\n");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      struct connection *c = connections[fd];
      if (c && events[i].events & EPOLLOUT) {
        if (go_on(fd, c)) take_records(fd, c);
      } else if (c) {
        receive(fd, c);
      } else if (fd <= last_listener) {
        int accepted;
        while ((accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
          if (accepted >= CONNECTIONS) { close(accepted); continue; }
          take_connection(accepted);
          struct epoll_event event = { .events = EPOLLIN, .data.fd = accepted };
          epoll_ctl(poller, EPOLL_CTL_ADD, accepted, &event);
        }
      }
    }
  }
}
