/*
 * links: publish/submission publish/submission_body base/json base/text base/utf8 log/channel request/form request/path request/request request/parameters
 * libs: -ljansson
 * What a POST wants to publish. The first byte chooses the Content-Type, the first line is the
 * query string, the rest is the body.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "log/channel.h"
#include "publish/submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct submission *s)
{
	if (s->count < 1 || s->count > SUBMISSION_MESSAGES_MAX)
		abort();
	for (size_t i = 0; i < s->count; i++) {
		const struct message *m = &s->message[i];

		if (!channel_is_name(m->channel.text, m->channel.length) || !m->data.text)
			abort();
		if (utf8_valid_prefix((const uint8_t *)m->data.text, m->data.length) !=
				m->data.length ||
			memchr(m->data.text, 0, m->data.length))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char types[][60] = {"CONTENT_TYPE=text/plain", "CONTENT_TYPE=application/json",
		"CONTENT_TYPE=application/x-www-form-urlencoded", "CONTENT_TYPE="};
	char query[256] = "QUERY_STRING=";
	struct request_problem problem;
	struct submission s;
	const uint8_t *line;
	size_t head, type;
	char *body;

	if (size < 1)
		return 0;
	type = data[0] % 4;
	line = memchr(data + 1, '\n', size - 1);
	head = line ? (size_t)(line - data) - 1 : 0;
	if (head > 200)
		return 0;
	memcpy(query + strlen(query), data + 1, head);
	data += head + 1 + (line != NULL);
	size -= head + 1 + (line != NULL);
	body = malloc(size ? size : 1);
	if (!body)
		return 0;
	memcpy(body, data, size);
	{
		char *params[] = {types[type], query, NULL};

		if (submission_parse(&s, params, body, size, &problem) == 0)
			check(&s);
		else if (!problem.status || !problem.sentence[0])
			abort();
	}
	submission_free(&s);
	free(body);
	return 0;
}
