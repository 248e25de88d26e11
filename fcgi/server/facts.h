/*
 * facts: what the status page says, as one list that both its HTML and its JSON print.
 *
 * Pure. A new fact is one line in status.c, which fills the list. Knows no values by itself.
 */
#ifndef ROWTAIL_FACTS_H
#define ROWTAIL_FACTS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/metrics.h"

enum { FACTS_MAX = 64 };

enum fact_kind {
	FACT_HEADING, /* begins a part of the page; not in JSON */
	FACT_TEXT, /* NULL: null in JSON, and hidden on the page */
	FACT_NUMBER, /* so is FACTS_UNKNOWN, of these three */
	FACT_BYTES,
	FACT_MS, /* a time */
	FACT_REASONS, /* an object in JSON; on the page a line for each reason that occurred */
};

#define FACTS_UNKNOWN INT64_MIN

struct fact {
	const char *name; /* in JSON; that of the metric, where there is one */
	const char *label; /* on the page; NULL: only in JSON */
	enum fact_kind kind;
	const char *text;
	int64_t number;
	double ms;
	enum metric_by_reason which;
	const char *const *reasons; /* their names, ending with NULL */
};

/* Texts are borrowed. */
struct facts {
	struct fact list[FACTS_MAX];
	size_t count;
};

/* Each adds one fact to the list. Without room for it, it is left out. */
void facts_heading(struct facts *f, const char *label);
void facts_text(struct facts *f, const char *name, const char *label, const char *text);
void facts_number(struct facts *f, const char *name, const char *label, int64_t number);
void facts_bytes(struct facts *f, const char *name, const char *label, int64_t bytes);
void facts_ms(struct facts *f, const char *name, const char *label, double ms);
void facts_reasons(struct facts *f, const char *name, const char *label,
	enum metric_by_reason which, const char *const *reasons);

/* Appends a text to a page. */
void facts_escape(struct buffer *out, const char *text);

/*
 * Appends a section with a table for each heading. Each cell has attributes with its fact's name
 * and kind, so that the page's script can update it.
 */
void facts_html(struct buffer *out, const struct facts *f);

/* Appends the members of an object, without its braces. */
void facts_json(struct buffer *out, const struct facts *f);

#endif
