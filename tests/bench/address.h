/* address: the names of unix sockets. */
#ifndef BENCH_ADDRESS_H
#define BENCH_ADDRESS_H

#include <sys/un.h>

/* Fills the address of a path; ends the program when the path is too long for one. */
void address_unix(struct sockaddr_un *un, const char *path);

#endif
