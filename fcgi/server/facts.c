#include "server/facts.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "protocol/wire.h"

/* Without room the fact is left out. */
static void add(struct facts *f, const struct fact *fact)
{
	if (f->count < FACTS_MAX)
		f->list[f->count++] = *fact;
}

void facts_heading(struct facts *f, const char *label)
{
	add(f, &(struct fact){.label = label, .kind = FACT_HEADING});
}

void facts_text(struct facts *f, const char *name, const char *label, const char *text)
{
	add(f, &(struct fact){.name = name, .label = label, .kind = FACT_TEXT, .text = text});
}

void facts_number(struct facts *f, const char *name, const char *label, int64_t number)
{
	add(f, &(struct fact){.name = name, .label = label, .kind = FACT_NUMBER, .number = number});
}

void facts_bytes(struct facts *f, const char *name, const char *label, int64_t bytes)
{
	add(f, &(struct fact){.name = name, .label = label, .kind = FACT_BYTES, .number = bytes});
}

void facts_ms(struct facts *f, const char *name, const char *label, double ms)
{
	add(f, &(struct fact){.name = name, .label = label, .kind = FACT_MS, .ms = ms});
}

void facts_reasons(struct facts *f, const char *name, const char *label,
	enum metric_by_reason which, const char *const *reasons)
{
	add(f, &(struct fact){.name = name,
		       .label = label,
		       .kind = FACT_REASONS,
		       .which = which,
		       .reasons = reasons});
}

void facts_escape(struct buffer *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			buffer_text(out, "&lt;");
			break;
		case '>':
			buffer_text(out, "&gt;");
			break;
		case '&':
			buffer_text(out, "&amp;");
			break;
		case '"':
			buffer_text(out, "&quot;");
			break;
		default:
			buffer_append(out, text, 1);
		}
}

/* "1.5 MiB" */
static void html_bytes(struct buffer *out, int64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		buffer_printf(out, "%" PRId64 " bytes", bytes);
		return;
	}
	for (; value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	buffer_printf(out, "%.1f %s", value, units[unit]);
}

static bool is_unknown(const struct fact *fact)
{
	return fact->kind == FACT_TEXT ? !fact->text
				       : (fact->kind == FACT_NUMBER || fact->kind == FACT_BYTES) &&
						 fact->number == FACTS_UNKNOWN;
}

static void html_reasons(struct buffer *out, const struct fact *fact)
{
	for (unsigned i = 0; fact->reasons[i]; i++) {
		uint64_t count = metrics_get_reason(fact->which, i);

		buffer_printf(out,
			"<tr%s><th scope=row>%s: %s<td data-fact=%s data-kind=reason "
			"data-reason=%s>%" PRIu64 "\n",
			count ? "" : " hidden", fact->label, fact->reasons[i], fact->name,
			fact->reasons[i], count);
	}
}

static void html_value(struct buffer *out, const struct fact *fact)
{
	static const char *const kinds[] = {[FACT_TEXT] = "text",
		[FACT_NUMBER] = "number",
		[FACT_BYTES] = "bytes",
		[FACT_MS] = "ms"};
	bool unknown = is_unknown(fact);

	buffer_printf(out, "<tr%s><th scope=row>%s<td data-fact=%s data-kind=%s>",
		unknown ? " hidden" : "", fact->label, fact->name, kinds[fact->kind]);
	if (unknown)
		;
	else if (fact->kind == FACT_TEXT)
		facts_escape(out, fact->text);
	else if (fact->kind == FACT_NUMBER)
		buffer_printf(out, "%" PRId64, fact->number);
	else if (fact->kind == FACT_BYTES)
		html_bytes(out, fact->number);
	else
		buffer_printf(out, fact->ms < 1000 ? "%.3g ms" : "%.0f ms", fact->ms);
	buffer_text(out, "\n");
}

void facts_html(struct buffer *out, const struct facts *f)
{
	const char *end = "";

	for (const struct fact *fact = f->list; fact < f->list + f->count; fact++) {
		if (fact->kind == FACT_HEADING) {
			buffer_printf(out, "%s<section><h2>%s</h2><table>\n", end, fact->label);
			end = "</table></section>\n";
		} else if (fact->kind == FACT_REASONS) {
			html_reasons(out, fact);
		} else if (fact->label) {
			html_value(out, fact);
		}
	}
	buffer_text(out, end);
}

static void json_reasons(struct buffer *out, const struct fact *fact)
{
	for (unsigned i = 0; fact->reasons[i]; i++)
		buffer_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "{", fact->reasons[i],
			metrics_get_reason(fact->which, i));
	buffer_text(out, "}");
}

static void json_value(struct buffer *out, const struct fact *fact)
{
	if (fact->kind == FACT_REASONS)
		json_reasons(out, fact);
	else if (is_unknown(fact))
		buffer_text(out, "null");
	else if (fact->kind == FACT_NUMBER || fact->kind == FACT_BYTES)
		buffer_printf(out, "%" PRId64, fact->number);
	else if (fact->kind == FACT_MS)
		buffer_printf(out, "%.6g", fact->ms);
	else
		wire_json_string(out, fact->text, strlen(fact->text));
}

void facts_json(struct buffer *out, const struct facts *f)
{
	const char *comma = "";

	for (const struct fact *fact = f->list; fact < f->list + f->count; fact++) {
		if (fact->kind == FACT_HEADING)
			continue;
		buffer_printf(out, "%s\"%s\":", comma, fact->name);
		json_value(out, fact);
		comma = ",";
	}
}
