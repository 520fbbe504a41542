/*
 * A Filter: makes its file upper case, below a line with what it was told of it and the length of STDIN.
 * Usage: filter unix-socket-path
 */
#include <ctype.h>
#include <fcgiapp.h>
#include <stdio.h>

/* A role's number (FastCGI 6). */
enum { filter = 3 };

int main(int count, char **arguments) {
  FCGX_Request request;
  int sock;
  if (count != 2 || FCGX_Init() != 0 || (sock = FCGX_OpenSocket(arguments[1], 100)) < 0) return 2;
  FCGX_InitRequest(&request, sock, 0);
  while (FCGX_Accept_r(&request) == 0) {
    int byte, input = 0;
    if (request.role != filter) {
      FCGX_PutS("Status: 500\r\nContent-Type: text/plain\r\n\r\nnot asked as a Filter\n", request.out);
    } else {
      while (FCGX_GetChar(request.in) != EOF) input++;
      if (FCGX_StartFilterData(request.in) != 0) return 1;
      FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\n%s bytes of %s, input %d\n",
                   FCGX_GetParam("FCGI_DATA_LENGTH", request.envp), FCGX_GetParam("FCGI_DATA_LAST_MOD", request.envp),
                   input);
      while ((byte = FCGX_GetChar(request.in)) != EOF) FCGX_PutChar(toupper(byte), request.out);
    }
    FCGX_Finish_r(&request);
  }
  return 0;
}
