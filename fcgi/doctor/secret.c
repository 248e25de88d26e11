#include "doctor/secret.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A shorter word, such as a number of a cookie, is in too many texts. */
enum { SHORTEST = 4 };

static void hide(char *text, const char *secret, size_t length)
{
	char *at = text;

	if (length < SHORTEST)
		return;
	while (*at) {
		if (strncmp(at, secret, length) != 0) {
			at++;
			continue;
		}
		memcpy(at, "***", 3);
		memmove(at + 3, at + length, strlen(at + length) + 1);
		at += 3;
	}
}

static bool is_scheme(const char *word, size_t length)
{
	return (length == 6 && !strncasecmp(word, "Bearer", 6)) ||
	       (length == 5 && !strncasecmp(word, "Basic", 5));
}

/* Each part of a value between these bytes. */
static void hide_parts(char *text, const char *value, const char *ends)
{
	for (const char *word = value; *word;) {
		size_t length = strcspn(word, ends);
		const char *after = word + length;
		/* The name of a cookie stays. */
		bool name = *after == '=' && after[1] && !strchr(ends, after[1]);

		if (!name && !is_scheme(word, length))
			hide(text, word, length);
		word = after + strspn(after, ends);
	}
}

/* "Bearer TOKEN", "a=1; b=2": the whole, its words, and the values in them. */
static void hide_value(char *text, const char *value)
{
	hide(text, value, strlen(value));
	hide_parts(text, value, " \t;,\"");
	hide_parts(text, value, " \t;,\"=");
}

static void hide_query(char *text, const char *query)
{
	static const char *const names[] = {
		"access_token=", "token=", "key=", "secret=", "password="};

	for (const char *p = query; *p; p += *p == '&') {
		size_t length = strcspn(p, "&");

		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			size_t name = strlen(names[i]);

			if (length > name && !strncasecmp(p, names[i], name))
				hide(text, p + name, length - name);
		}
		p += length;
	}
}

void secret_hide(char *text, size_t size, const struct options *o)
{
	text[size - 1] = '\0';
	for (int i = 0; o->headers[i]; i++) {
		const char *value = strchr(o->headers[i], ':') + 1;

		hide_value(text, value + strspn(value, " \t"));
	}
	hide_query(text, o->target.query);
}
