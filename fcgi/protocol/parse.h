/*
 * parse: a whole FastCGI request, made into parameters and a body by libfcgi.
 *
 * The only includer of <fcgiapp.h>. libfcgi can only block, and trusts its peer; so it never sees a
 * connection: it reads from a socket pair that holds exactly the bytes that `arrival` found whole
 * and sane, with their end behind them. What would make it wait makes it fail instead.
 */
#ifndef ROWTAIL_PARSE_H
#define ROWTAIL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prepares libfcgi; once, after the signal handlers are set, which it leaves alone then. */
bool parse_init(void);

/* What is done with a request: everything is borrowed for the call. params: "NAME=value", NULL. */
typedef void (*parse_use)(
	void *context, char *const *params, const uint8_t *body, size_t body_length);

enum parse_result {
	PARSE_USED,
	PARSE_FAILED, /* it can't be parsed, or there is no memory; `use` is not called */
	PARSE_LATER, /* there are no descriptors at the moment; nothing was touched */
};

/*
 * Parses a request of so many bytes, and takes their padding out, which libfcgi forgets about where
 * one stream ends and the next begins.
 */
enum parse_result parse_request(uint8_t *bytes, size_t length, parse_use use, void *context);

#endif
