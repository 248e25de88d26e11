#include "server/follow.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/loop.h"
#include "request/form.h"

enum {
	HANGUP_MS = 500, /* how often it checks whether anyone still reads */
	LINE_MAX_BYTES = 1 << 30, /* of a row's longest line */
};

static struct {
	struct responder *responder;
	struct sink sink;
	struct subscriber subscriber;
	struct loop_timer hangup;
	struct buffer line; /* the line that is not complete yet */
	bool running;
	bool in_head; /* the head of the answer is still to be skipped */
	bool json; /* rows as JSON, a line each */
	bool terminal, colours;
	bool is_gap; /* the current record is no row */
	bool failed; /* standard output could not be written */
	int *status; /* where the exit status goes */
} follow;

#define DIM "\033[2m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static bool begins(const char *line, size_t length, const char *with)
{
	return length >= strlen(with) && !memcmp(line, with, strlen(with));
}

/*
 * Prints what a row may hold. A terminal would obey control characters: it gets them as cat -v
 * shows them, and C1, which is ESC in one character, as U+FFFD.
 */
static void put(const char *text, size_t length)
{
	if (!follow.terminal) {
		fwrite(text, 1, length, stdout);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			printf("^%c", c ^ 0x40);
		} else if (c == 0xc2 && i + 1 < length && (unsigned char)text[i + 1] < 0xa0) {
			fputs("\xef\xbf\xbd", stdout);
			i++;
		} else {
			putchar(c);
		}
	}
}

/* Field names are dim and event types bold, so that the data stands out. */
static void print_coloured(const char *line, size_t length)
{
	const char *colon = memchr(line, ':', length);
	size_t name = colon ? (size_t)(colon - line) + 1 : 0;
	bool is_data = begins(line, length, "data:");

	fputs(DIM, stdout);
	put(line, name);
	if (is_data || begins(line, length, "event:"))
		fputs(is_data ? PLAIN : PLAIN BOLD, stdout);
	put(line + name, length - name);
	fputs(PLAIN "\n", stdout);
}

/* Rows are the data of records; a gap goes to standard error, since it is not a row. */
static void print_json(const char *line, size_t length)
{
	if (length == 0)
		follow.is_gap = false;
	else if (begins(line, length, "event: gap") && length == strlen("event: gap"))
		follow.is_gap = true;
	else if (begins(line, length, "data: ") && follow.is_gap)
		warnx("gap: %.*s", (int)length - 6, line + 6);
	else if (begins(line, length, "data: ")) {
		put(line + 6, length - 6);
		putchar('\n');
	}
}

static void print_line(const char *line, size_t length)
{
	if (follow.in_head)
		follow.in_head = length > 0 && line[0] != '\r';
	else if (follow.json)
		print_json(line, length);
	else if (follow.colours)
		print_coloured(line, length);
	else {
		put(line, length);
		putchar('\n');
	}
}

/* Prints the complete lines among what has come. False if there is no memory for a long line. */
static bool take(const char *bytes, size_t length)
{
	const char *end;

	while ((end = memchr(bytes, '\n', length))) {
		size_t part = (size_t)(end - bytes);

		if (follow.line.length == 0)
			print_line(bytes, part);
		else if (buffer_append(&follow.line, bytes, part)) {
			print_line((const char *)follow.line.data, follow.line.length);
			buffer_clear(&follow.line);
		} else
			return false;
		bytes += part + 1;
		length -= part + 1;
	}
	return buffer_append(&follow.line, bytes, length);
}

static ssize_t write_out(struct sink *sink, const struct iovec *iov, int count)
{
	ssize_t taken = 0;

	for (int i = 0; i < count; i++) {
		if (!take(iov[i].iov_base, iov[i].iov_len))
			return -1;
		taken += (ssize_t)iov[i].iov_len;
	}
	if (fflush(stdout) == 0)
		return taken;
	if (errno != EPIPE) {
		warn("standard output");
		follow.failed = true;
	}
	return -1;
}

static void want_write(struct sink *sink, bool want)
{
}

static void finished(struct sink *sink)
{
	follow.running = false;
	loop_stop();
}

static bool would_take(struct sink *sink)
{
	return true;
}

static const struct sink_operations operations = {.write = write_out,
	.want_write = want_write,
	.would_take = would_take,
	.finished = finished};

static void look_for_hangup(struct loop_timer *timer)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	if (follow.running && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
		fanout_gone(follow.responder->fanout, &follow.subscriber, LEAVE_CLIENT);
	else if (follow.running)
		fanout_writable(follow.responder->fanout, &follow.subscriber);
}

/* Is this piece of a query format=json, however it is encoded? */
static bool asks_for_json(const char *piece, size_t length)
{
	char copy[64];
	struct form form;
	struct form_pair pair;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, piece, length);
	form_init(&form, copy, length);
	return form_next(&form, &pair) && !strcmp(pair.value, "json") &&
	       (!strcmp(pair.name, "format") || !strcmp(pair.name, "format[]"));
}

/*
 * Copies a query without its format=json, and asks for the stream that gives the same rows. A `?'
 * in front, as in a URL, is no part of the query. Returns NULL if there is no memory; the caller
 * frees the result.
 */
static char *as_stream(const char *query)
{
	static const char name[] = "QUERY_STRING=", instead[] = "envelope=json&positions=0";
	char *copy = malloc(sizeof(name) + strlen(query) + 1 + sizeof(instead));
	char *to = copy;
	size_t length;

	if (!copy)
		return NULL;
	memcpy(to, name, sizeof(name));
	to += strlen(name);
	for (query += *query == '?'; *query; query += length + (query[length] == '&')) {
		length = strcspn(query, "&");
		if (asks_for_json(query, length)) {
			follow.json = true;
			continue;
		}
		memcpy(to, query, length);
		to += length;
		*to++ = '&';
	}
	*to = '\0';
	if (follow.json)
		memcpy(to, instead, sizeof(instead));
	return copy;
}

/* Have the channels ended, so that there is nothing to print? */
static bool is_over(const struct buffer *answer)
{
	static const char head[] = "Status: 204 ";

	return answer->length > strlen(head) && !memcmp(answer->data, head, strlen(head));
}

/* A refusal is a head, an empty line and a sentence. */
static void print_refusal(const struct buffer *answer)
{
	const char *text = (const char *)answer->data;
	const char *body = answer->length ? memmem(text, answer->length, "\r\n\r\n", 4) : NULL;

	if (body)
		warnx("%.*s", (int)strcspn(body + 4, "\n"), body + 4);
	else
		warnx("there is no memory");
}

static bool wants_colours(void)
{
	const char *terminal = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no && *no) && terminal && strcmp(terminal, "dumb") != 0;
}

/* limit, before and wait are for answers that end. */
static bool asks_for_pages(const char *query)
{
	static const char *const names[] = {"limit=", "before=", "wait="};

	for (; query; query = strchr(query, '&'), query += query ? 1 : 0)
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!strncmp(query, names[i], strlen(names[i])))
				return true;
	return false;
}

/* False if there is no memory. The first write may already have ended the stream. */
static bool begin_stream(struct response *response)
{
	follow.in_head = true;
	follow.running = true;
	if (!responder_open(follow.responder, response, &follow.subscriber, &follow.sink,
		    &framing_none, 0)) {
		follow.running = false;
		return false;
	}
	if (follow.running) {
		loop_timer_init(&follow.hangup, look_for_hangup, NULL);
		loop_timer_start(&follow.hangup, HANGUP_MS, HANGUP_MS);
	}
	return true;
}

bool follow_begin(struct responder *responder, const char *query, int *status)
{
	char *variable = as_stream(query);
	char method[] = "REQUEST_METHOD=GET", accept[] = "HTTP_ACCEPT=text/event-stream";
	char *params[] = {method, accept, variable, NULL};
	struct response response;

	follow.status = status;
	*status = EX_OSERR;
	if (!variable)
		return false;
	if (follow.json && asks_for_pages(query)) {
		warnx("--follow neither pages nor waits: leave out limit, before and wait");
		*status = EX_USAGE;
		free(variable);
		return false;
	}
	buffer_init(&follow.line, LINE_MAX_BYTES);
	follow.responder = responder;
	follow.terminal = isatty(STDOUT_FILENO);
	follow.colours = wants_colours();
	follow.sink.operations = &operations;
	responder->alone = true;
	responder_decide(responder, params, NULL, 0, &response);
	if (response.is_stream) {
		follow.in_head = true;
		*status = begin_stream(&response) ? 0 : EX_OSERR;
	} else if (is_over(&response.bytes)) {
		*status = 0;
	} else {
		print_refusal(&response.bytes);
		*status = EX_USAGE;
	}
	response_free(responder, &response);
	free(variable);
	return follow.running;
}

void follow_close(void)
{
	if (follow.running)
		fanout_gone(follow.responder->fanout, &follow.subscriber, LEAVE_SHUTDOWN);
	if (follow.failed)
		*follow.status = EX_IOERR;
	buffer_free(&follow.line);
}
