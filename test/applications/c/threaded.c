/*
 * Answers in several threads of one process, each with the number of its thread and its query, after a while.
 * Usage: threaded unix-socket-path threads
 */
#include <fcgiapp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static int sock;

static void *answer(void *number) {
  FCGX_Request request;
  FCGX_InitRequest(&request, sock, 0);
  while (FCGX_Accept_r(&request) == 0) {
    const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
    usleep(20000);
    FCGX_FPrintF(request.out, "Content-Type: text/plain\r\n\r\n%d %s", (int)(intptr_t)number, query ? query : "");
    FCGX_Finish_r(&request);
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 3 || FCGX_Init() != 0 || (sock = FCGX_OpenSocket(arguments[1], 100)) < 0) return 2;
  int threads = atoi(arguments[2]);
  for (int i = 1; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer, (void *)(intptr_t)i) != 0) return 1;
  }
  answer((void *)0);
  return 0;
}
