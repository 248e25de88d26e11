/*
 * What judge.c, judge_flow.c, judge_request.c and judge_answer.c share.
 */
#ifndef ROWTAIL_DOCTOR_JUDGE_IMPL_H
#define ROWTAIL_DOCTOR_JUDGE_IMPL_H

#include "doctor/judge.h"

enum { JUDGE_LINE = 200 };

/* The first line of a body, made harmless, or what the body is. */
const char *judge_line(const struct answer *a, char line[JUDGE_LINE]);

/* Does the query string not reach rowtail? Then it answers for another channel. */
bool judge_query_is_lost(const struct facts *f);

/* Does rowtail take the path of the URL itself for the beginning of a channel? */
bool judge_mount_is_channel(const struct facts *f);

/* Whether a channel in the path arrives. */
void judge_path(const struct facts *f, struct findings *out);

/* Does a token arrive in the header, and in the cookie? */
void judge_token(const struct facts *f, struct findings *out);

/*
 * When records come, and whether the stream stays open. False if nothing else needs to be judged.
 */
bool judge_flow(const struct facts *f, struct findings *out);

/* Which parts of a request reach rowtail. */
void judge_request(const struct facts *f, struct findings *out);

/* What the web server does to an answer: head, cache, CORS; and when a client leaves. */
void judge_answer(const struct facts *f, struct findings *out);

#endif
