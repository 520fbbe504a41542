/*
 * An Authorizer: lets through who sends "Authorization: let me in", with variables for the handler behind it; others
 * get its own page. Usage: authorizer unix-socket-path
 */
#include <fcgiapp.h>
#include <string.h>

/* A role's number (FastCGI 6). */
enum { authorizer = 2 };

int main(int count, char **arguments) {
  FCGX_Request request;
  int sock;
  if (count != 2 || FCGX_Init() != 0 || (sock = FCGX_OpenSocket(arguments[1], 100)) < 0) return 2;
  FCGX_InitRequest(&request, sock, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *word = FCGX_GetParam("HTTP_AUTHORIZATION", request.envp);
    if (request.role != authorizer) {
      FCGX_PutS("Status: 500\r\nContent-Type: text/plain\r\n\r\nnot asked as an Authorizer\n", request.out);
    } else if (word != NULL && strcmp(word, "let me in") == 0) {
      FCGX_FPrintF(request.out, "Status: 200\r\nVariable-AUTH_METHOD: a word\r\nVariable-REMOTE_USER: guest\r\n\r\n");
    } else {
      FCGX_PutS("Status: 401\r\nWWW-Authenticate: Word\r\nContent-Type: text/plain\r\n\r\nsay the word\n", request.out);
    }
    FCGX_Finish_r(&request);
  }
  return 0;
}
