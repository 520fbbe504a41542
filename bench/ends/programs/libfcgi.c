/*
 * The bench's application in C on libfcgi: a page, an echo of STDIN, 10 000 000 bytes in pieces of 64 KiB.
 * Usage: libfcgi PATH PROCESSES. A process serves one connection at a time, so there has to be one for each.
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char page[] =
  "<!doctype html>\n<title>Page</title>\n<p>This is what a small answer looks like, which an application makes again and again "
  "without a thought, in about two hundred bytes that nobody is going to read.</p>\n";
static char piece[65536];

static void echo(FCGX_Request *request) {
  int length;
  FCGX_PutS("Content-Type: application/octet-stream\r\n\r\n", request->out);
  while ((length = FCGX_GetStr(piece, sizeof piece, request->in)) > 0) FCGX_PutStr(piece, length, request->out);
}

static void send_file(FCGX_Request *request) {
  FCGX_PutS("Content-Type: application/octet-stream\r\n\r\n", request->out);
  memset(piece, 'a', sizeof piece);
  for (int left = 10000000; left > 0; left -= sizeof piece)
    FCGX_PutStr(piece, left < (int)sizeof piece ? left : (int)sizeof piece, request->out);
}

static void serve(int sock) {
  FCGX_Request request;
  FCGX_InitRequest(&request, sock, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *uri = FCGX_GetParam("REQUEST_URI", request.envp);
    if (strcmp(uri, "/echo") == 0) echo(&request);
    else if (strcmp(uri, "/file") == 0) send_file(&request);
    else {
      FCGX_PutS("Content-Type: text/html; charset=UTF-8\r\n\r\n", request.out);
      FCGX_PutStr(page, sizeof page - 1, request.out);
    }
    FCGX_Finish_r(&request);
  }
}

int main(int count, char **arguments) {
  int sock;
  if (count != 3 || FCGX_Init() != 0 || (sock = FCGX_OpenSocket(arguments[1], 511)) < 0) return 2;
  for (int i = atoi(arguments[2]); i > 0; i--) {
    if (fork() != 0) continue;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    serve(sock);
    return 0;
  }
  pause();
  return 0;
}
