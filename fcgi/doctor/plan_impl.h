/*
 * plan_impl: what plan.c and plan_ask.c share. plan.c says when, plan_ask.c what each request has.
 */
#ifndef ROWTAIL_DOCTOR_PLAN_IMPL_H
#define ROWTAIL_DOCTOR_PLAN_IMPL_H

#include "doctor/client.h"
#include "doctor/plan.h"

/* The state of the requests. exchange[PROBES + i] are the streams that will leave. */
struct run {
	const struct options *o;
	struct rows *rows;
	struct facts *f;
	struct exchange *exchange[PROBES + FACTS_LEAVERS], *status;
	struct answer leaver[FACTS_LEAVERS], count;
	int64_t began_ms, ready_ms, counted_ms;
	int rows_done;
	bool left, first_count, is_second, is_silent;
	char cookie[1200], authorization[160];
};

/* Makes the headers with the doctor's token, or with that of --header in the other place. */
void plan_make_tokens(struct run *r);

void plan_ask_first(struct run *r);

/* As a client that is no EventSource: it gets the real status. */
void plan_ask_others(struct run *r);
void plan_ask_broken(struct run *r);

/* After a refusal: does the token come through one way and not the other? */
void plan_ask_tokens(struct run *r);

/* A POST whose form has everything; more parameters begin with '&'. */
void plan_ask_form(struct run *r, const char *parameters);

/* Channels behind the mount that rowtail refuses, with their names. */
void plan_ask_path(struct run *r);

/* The rows as JSON: PROBE_JSON_1 or PROBE_JSON_2. */
void plan_ask_json(struct run *r, enum probe probe);

/* Everything else, to go on side by side. */
void plan_ask_all(struct run *r);

/* Only the streams that show whether something holds them back, and one answer that ends. */
void plan_ask_again(struct run *r);

/* The page that --status names. */
void plan_ask_status(struct run *r);

#endif
