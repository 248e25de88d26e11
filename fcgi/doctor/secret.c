#include "doctor/secret.h"

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

/* The words of a value: "Bearer TOKEN", "a=1; b=2". The scheme is no secret. */
static void hide_words(char *text, const char *value)
{
	static const char ends[] = " \t;,=\"";

	hide(text, value, strlen(value));
	for (const char *word = value; *word;) {
		size_t length = strcspn(word, ends);
		bool scheme = (length == 6 && !strncasecmp(word, "Bearer", 6)) ||
			      (length == 5 && !strncasecmp(word, "Basic", 5));

		/* The name of a cookie stays; the '=' at the end of a base64 text is no name's. */
		if (!scheme && !(word[length] == '=' && word[length + 1] &&
				       !strchr(ends, word[length + 1])))
			hide(text, word, length);
		word += length;
		word += strspn(word, ends);
	}
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

		hide_words(text, value + strspn(value, " \t"));
	}
	hide_query(text, o->target.query);
}
