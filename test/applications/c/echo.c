/*
 * Echoes its variables, an empty line, its STDIN and, as a Filter, the file that it works on: libfcgi's plain interface.
 * Usage: echo unix-socket-path
 */
#include <fcgiapp.h>
#include <stdlib.h>

/* A role's number (FastCGI 6). */
enum { filter = 3 };

static void copy(FCGX_Stream *from, FCGX_Stream *to) {
  char bytes[8192];
  int length;
  while ((length = FCGX_GetStr(bytes, sizeof bytes, from)) > 0) FCGX_PutStr(bytes, length, to);
}

int main(int count, char **arguments) {
  FCGX_Request request;
  int sock;
  if (count != 2 || FCGX_Init() != 0 || (sock = FCGX_OpenSocket(arguments[1], 100)) < 0) return 2;
  FCGX_InitRequest(&request, sock, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *status = FCGX_GetParam("ANSWER_STATUS", request.envp);
    const char *error = FCGX_GetParam("ANSWER_STDERR", request.envp);
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request.out);
    for (char **variable = request.envp; *variable != NULL; variable++) FCGX_FPrintF(request.out, "%s\n", *variable);
    FCGX_PutS("\n", request.out);
    copy(request.in, request.out);
    if (request.role == filter && FCGX_StartFilterData(request.in) == 0) copy(request.in, request.out);
    if (error != NULL) FCGX_PutS(error, request.err);
    /* Always: libfcgi keeps the status of the request before. */
    FCGX_SetExitStatus(status != NULL ? atoi(status) : 0, request.out);
    FCGX_Finish_r(&request);
  }
  return 0;
}
