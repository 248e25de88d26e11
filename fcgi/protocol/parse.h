/*
 * parse: turns a complete FastCGI request into parameters and a body, with libfcgi.
 *
 * The only file that includes <fcgiapp.h>. libfcgi can only block, and trusts its peer. So it never
 * gets a connection. It reads exactly the bytes that `arrival` found complete and valid, from a
 * socket pair that does not block, or from a file in memory if they are more than
 * ARRIVAL_BYTES_MAX. So libfcgi fails instead of waiting for more.
 */
#ifndef ROWTAIL_PARSE_H
#define ROWTAIL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prepares libfcgi, once, after the signal handlers are set; it leaves those unchanged. */
bool parse_init(void);

/* Uses a request. Everything is borrowed for the call. params: "NAME=value", ends with NULL. */
typedef void (*parse_use)(
	void *context, char *const *params, const uint8_t *body, size_t body_length);

enum parse_result {
	PARSE_USED,
	PARSE_FAILED, /* it can't be parsed, or there is no memory; `use` is not called */
	PARSE_LATER, /* there are no descriptors at the moment; nothing was touched */
};

/*
 * Parses a request of `length` bytes. First removes their padding, which libfcgi handles wrongly
 * where one stream ends and the next begins.
 */
enum parse_result parse_request(uint8_t *bytes, size_t length, parse_use use, void *context);

#endif
