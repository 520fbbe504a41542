/* Answers without ever reading its input, and says what was announced of it. Usage: deaf unix-socket-path */
#include <fcgiapp.h>

int main(int count, char **arguments) {
  FCGX_Request request;
  int sock;
  if (count != 2 || FCGX_Init() != 0 || (sock = FCGX_OpenSocket(arguments[1], 100)) < 0) return 2;
  FCGX_InitRequest(&request, sock, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *length = FCGX_GetParam("CONTENT_LENGTH", request.envp);
    FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\n%s bytes, and not one was read", length ? length : "no");
    FCGX_Finish_r(&request);
  }
  return 0;
}
