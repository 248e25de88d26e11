/*
 * What judge.c, judge_late.c, judge_flow.c, judge_request.c and judge_answer.c share.
 */
#ifndef ROWTAIL_DOCTOR_JUDGE_IMPL_H
#define ROWTAIL_DOCTOR_JUDGE_IMPL_H

#include "doctor/judge.h"

enum { JUDGE_LINE = 200, JUDGE_SLOW_MS = 100 /* rows that come later are called delayed */ };

/* The first line of a body, made harmless, or what the body is. */
const char *judge_line(const struct answer *a, char line[JUDGE_LINE]);

/* Does the query string not reach rowtail? Then it answers for another channel. */
bool judge_query_is_lost(const struct facts *f);

/* Does rowtail take the path of the URL itself for the beginning of a channel? */
bool judge_mount_is_channel(const struct facts *f);

/* How long after their COMMIT the rows of a stream came. */
struct delay {
	int rows; /* how many came that were inserted after the stream had begun */
	bool missing; /* some of these did not */
	int64_t whole_ms; /* the middle one */
	/*
	 * How much later than an answer that ends and was asked for with the row: the middle one,
	 * or the quickest row against the quickest answer, whichever is more.
	 */
	int64_t beyond_ms;
};

struct delay judge_delay(const struct facts *f, const struct answer *a);

/* Does something hold this stream back? */
bool judge_is_held_back(const struct facts *f, const struct answer *a);

/*
 * Did a server that waits for the whole answer give up? The first request was closed before that.
 */
bool judge_was_given_up(const struct facts *f, const struct answer *a);

/* Was a stream asked for in this way, and not refused? */
bool judge_was_streamed(const struct facts *f, enum probe probe);

/* Whether a channel in the path arrives. */
void judge_path(const struct facts *f, struct findings *out);

/* Does a token arrive in the header, and in the cookie? */
void judge_token(const struct facts *f, struct findings *out);

/*
 * When records come, and whether the stream stays open. second: see judge_all(). False if nothing
 * else needs to be judged.
 */
bool judge_flow(const struct facts *f, const struct facts *second, struct findings *out);

/* Do rowtail's JSON answers from before and after the rows name the same newest id? */
bool judge_newest_is_same(const struct facts *f);

/* Which parts of a request reach rowtail. */
void judge_request(const struct facts *f, struct findings *out);

/* What the web server does to an answer: head, cache, CORS; and when a client leaves. */
void judge_answer(const struct facts *f, struct findings *out);

#endif
