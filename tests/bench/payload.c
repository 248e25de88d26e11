/* payload: see payload.h. */
#include "payload.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t payload_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void payload_write(char *out, const struct payload *p)
{
	char head[PAYLOAD_HEAD_MAX];
	int length = snprintf(head, sizeof head, "%lld %lld %lld ", (long long)p->id,
		(long long)p->stamp_ns, (long long)p->length);

	memset(out, 'x', (size_t)p->length);
	memcpy(out, head, (size_t)length);
}

int64_t payload_number(const char **text, const char *end)
{
	const char *at = *text;
	int64_t n = 0;

	while (at < end && *at >= '0' && *at <= '9' && n < INT64_MAX / 10 - 1)
		n = n * 10 + (*at++ - '0');
	if (at == *text || (at < end && *at >= '0' && *at <= '9'))
		return -1;
	*text = at;
	return n;
}

int payload_read(struct payload *p, const char *text, size_t length)
{
	const char *end = text + length;
	int64_t *numbers[] = {&p->id, &p->stamp_ns, &p->length};

	for (size_t i = 0; i < 3; i++) {
		*numbers[i] = payload_number(&text, end);
		if (*numbers[i] < 0 || text == end || *text++ != ' ')
			return -1;
	}
	return 0;
}
