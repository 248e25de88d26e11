#include "access.h"

#include <stdio.h>
#include <stdlib.h>

struct access {
	const struct config *config;
};

struct access *access_new(const struct config *config, struct eventlog *log, int *exit_status,
	char *sentence, size_t size)
{
	struct access *a = calloc(1, sizeof(*a));

	if (a)
		a->config = config;
	return a;
}

void access_free(struct access *a)
{
	free(a);
}

enum access_verdict access_admit(struct access *a, const struct request *r,
	struct access_session **session, char *sentence, size_t size)
{
	*session = NULL;
	snprintf(sentence, size, "not granted");
	return a->config->public_ ? ACCESS_GRANTED : ACCESS_FORBIDDEN;
}

const char *access_recheck(struct access *a, struct access_session *session, const struct filter *f,
	int64_t now_ms, enum leave_reason *reason)
{
	return NULL;
}

const char *access_session_user(const struct access_session *session)
{
	return NULL;
}

void access_session_free(struct access_session *session)
{
}
