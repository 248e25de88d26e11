/*
 * access: who may read what, and until when (rowtail(8), ACCESS); and who may publish what.
 *
 * Owns the subjects of a request (everyone, the user whom the web server names, the token or JWT
 * that the client shows), the look-up of their grants, and the repeated checks while a stream is
 * open. Never logs a secret. Never trusts a parameter that begins with HTTP_ for a client's
 * identity.
 */
#ifndef ROWTAIL_ACCESS_H
#define ROWTAIL_ACCESS_H

#include <stddef.h>

#include "config/config.h"
#include "log/eventlog.h"
#include "log/filter.h"
#include "request/request.h"

struct access;
struct access_session;

enum access_verdict {
	ACCESS_GRANTED,
	ACCESS_UNAUTHORIZED, /* 401: no usable credentials */
	ACCESS_FORBIDDEN, /* 403: the client is known, but not all channels are granted */
	ACCESS_TOO_MANY, /* 429: too many failed attempts from this address */
	ACCESS_BAD_REQUEST, /* 400: a token in the URL, which is not allowed here */
	ACCESS_LATER, /* the grants cannot be read now */
};

/* What somebody wants to be admitted for. */
struct access_purpose {
	const char *table; /* where it is granted */
	const char *claim; /* of a JWT: the channels that it grants by itself */
	const char *forbidden, *unauthorized; /* sentences */
	bool may_be_public; /* --public and --allow-query-token count */
};
extern const struct access_purpose access_reading, access_publishing;

/*
 * Reads the JWT key if one is configured. Borrows config and log for good. If the key can't be
 * used, returns NULL and writes a sentence; *exit_status is then 66 if its file can't be read, else
 * 78.
 */
struct access *access_new(const struct config *config, const struct access_purpose *purpose,
	struct eventlog *log, int *exit_status, char *sentence, size_t size);
void access_free(struct access *a);

/*
 * May this request read all it asks for? The log must be open. With ACCESS_GRANTED, *session is for
 * the later checks (NULL with --public, which needs none); the caller frees it with
 * access_session_free(). Otherwise it is NULL, and the sentence, for the client, says what to do
 * and nothing that helps guessing.
 */
enum access_verdict access_admit(struct access *a, const struct request *r,
	struct access_session **session, char *sentence, size_t size);

/*
 * Many rechecks go between these two calls, in one transaction. It must end before the loop goes
 * on.
 */
void access_recheck_begin(struct access *a);
void access_recheck_end(struct access *a);

enum access_again {
	ACCESS_GOES_ON, /* or the grants can't be read now */
	ACCESS_REVOKED, /* a grant was deleted */
	ACCESS_EXPIRED, /* a grant or the JWT has run out */
};

/*
 * Checks whether a session may go on reading, at most every few seconds per session. f: what it
 * reads. now_ms: clock_ms(). *again_ms: when to call this again; it does no harm to call earlier.
 */
enum access_again access_recheck(struct access *a, struct access_session *session,
	const struct filter *f, int64_t now_ms, int64_t *again_ms);

/* The client's first subject: "user:NAME" or "token:HEX"; "" if it is only everyone. Borrowed. */
const char *access_session_subject(const struct access_session *session);

/* The user's name, for --max-streams-per-client, or NULL. Borrowed from the session. */
const char *access_session_user(const struct access_session *session);

void access_session_free(struct access_session *session);

#endif
