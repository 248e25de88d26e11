/* address: the names of unix sockets. */
#ifndef BENCH_ADDRESS_H
#define BENCH_ADDRESS_H

#include <sys/un.h>

/* Fills the address of a path; exits if the path is too long. */
void address_unix(struct sockaddr_un *un, const char *path);

#endif
