/*
 * status: the status page: facts, charts, channels and the last log lines, for people and as JSON.
 *
 * For administrators: it names the database, channels, and whatever is in the log. Contains no
 * secret and no token. The page loads nothing else: its script (status.js) and its style
 * (status.css) are inside it, and the policy allows just these and requests to the page's own
 * server. Without JavaScript it has the same facts, as tables, and loads itself again.
 */
#ifndef ROWTAIL_STATUS_H
#define ROWTAIL_STATUS_H

#include "base/buffer.h"
#include "config/config.h"
#include "log/copied.h"
#include "stream/fanout.h"

/* Values that the page does not look up itself. */
struct status {
	const struct config *config;
	const struct fanout *fanout;
	const char *trouble; /* why the log cannot be read; NULL: it can */
	const struct copied *copied; /* whether the log is a copy that rowtail-mirror keeps */
	int64_t oldest_id, newest_id; /* without trouble */
	int64_t oldest_age_s, newest_age_s; /* -1: unknown */
	int64_t max_streams, started_ms;
};

/* Appends the page. */
void status_html(struct buffer *out, const struct status *s);

/* Appends one object and a line break. */
void status_json(struct buffer *out, const struct status *s);

/* The value of Content-Security-Policy for the page. Valid for good. */
const char *status_policy(void);

#endif
