#include "server/facts.h"

#include <inttypes.h>
#include <string.h>

#include "protocol/wire.h"

/* Without room the fact is left out. */
static void add(struct facts *f, const struct fact *fact)
{
	if (f->count < FACTS_MAX)
		f->list[f->count++] = *fact;
}

void facts_text(struct facts *f, const char *name, const char *label, const char *text)
{
	add(f, &(struct fact){.name = name, .label = label, .kind = FACT_TEXT, .text = text});
}

void facts_number(struct facts *f, const char *name, const char *label, int64_t number)
{
	add(f, &(struct fact){.name = name, .label = label, .kind = FACT_NUMBER, .number = number});
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

static void escape(struct buffer *out, const char *text)
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

static void html_reasons(struct buffer *out, const struct fact *fact)
{
	for (unsigned i = 0; fact->reasons[i]; i++)
		if (metrics_get_reason(fact->which, i))
			buffer_printf(out, "<tr><th scope=row>%s: %s<td>%" PRIu64 "\n", fact->label,
				fact->reasons[i], metrics_get_reason(fact->which, i));
}

void facts_html(struct buffer *out, const struct facts *f)
{
	for (const struct fact *fact = f->list; fact < f->list + f->count; fact++) {
		if (!fact->label || (fact->kind == FACT_TEXT && !fact->text))
			continue;
		if (fact->kind == FACT_REASONS) {
			html_reasons(out, fact);
			continue;
		}
		buffer_printf(out, "<tr><th scope=row>%s<td>", fact->label);
		if (fact->kind == FACT_TEXT)
			escape(out, fact->text);
		else if (fact->kind == FACT_NUMBER)
			buffer_printf(out, "%" PRId64, fact->number);
		else
			buffer_printf(out, "%.3g ms", fact->ms);
		buffer_text(out, "\n");
	}
}

static void json_reasons(struct buffer *out, const struct fact *fact)
{
	for (unsigned i = 0; fact->reasons[i]; i++)
		buffer_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "{", fact->reasons[i],
			metrics_get_reason(fact->which, i));
	buffer_text(out, "}");
}

void facts_json(struct buffer *out, const struct facts *f)
{
	for (const struct fact *fact = f->list; fact < f->list + f->count; fact++) {
		buffer_printf(out, "%s\"%s\":", fact == f->list ? "{" : ",", fact->name);
		if (fact->kind == FACT_REASONS)
			json_reasons(out, fact);
		else if (fact->kind == FACT_NUMBER)
			buffer_printf(out, "%" PRId64, fact->number);
		else if (fact->kind == FACT_MS)
			buffer_printf(out, "%.6g", fact->ms);
		else if (fact->text)
			wire_json_string(out, fact->text, strlen(fact->text));
		else
			buffer_text(out, "null");
	}
	buffer_text(out, "}\n");
}
