/*
 * facts: what the status page says, as one list that both its HTML and its JSON print.
 *
 * Pure. A new fact is one line where the list is filled (page.c). Knows no values by itself.
 */
#ifndef ROWTAIL_FACTS_H
#define ROWTAIL_FACTS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/metrics.h"

enum { FACTS_MAX = 48 };

enum fact_kind {
	FACT_TEXT, /* NULL: null in JSON, and not on the page */
	FACT_NUMBER,
	FACT_MS, /* a time */
	FACT_REASONS, /* an object in JSON; on the page a line for each reason that has occurred */
};

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

void facts_text(struct facts *f, const char *name, const char *label, const char *text);
void facts_number(struct facts *f, const char *name, const char *label, int64_t number);
void facts_ms(struct facts *f, const char *name, const char *label, double ms);
void facts_reasons(struct facts *f, const char *name, const char *label,
	enum metric_by_reason which, const char *const *reasons);

/* Appends the rows of a table. */
void facts_html(struct buffer *out, const struct facts *f);

/* Appends one object and a line break. */
void facts_json(struct buffer *out, const struct facts *f);

#endif
