#include "log/apart.h"

#include "log/trouble.h"

enum { PAUSE_LEAST_MS = 2000, PAUSE_MOST_MS = 60000 };

void apart_begin(struct apart *a)
{
	a->due_ms = a->pause_ms = 0;
}

bool apart_look(struct apart *a, const char *path, int64_t now_ms, char *sentence, size_t size)
{
	bool found;

	if (now_ms < a->due_ms)
		return false;
	found = trouble_is_apart(path, &a->suspect, sentence, size) && a->suspect != a->told;
	if (found)
		a->told = a->suspect;
	a->pause_ms *= 2;
	if (a->pause_ms < PAUSE_LEAST_MS || (a->suspect && a->suspect != a->told))
		a->pause_ms = PAUSE_LEAST_MS;
	if (a->pause_ms > PAUSE_MOST_MS)
		a->pause_ms = PAUSE_MOST_MS;
	a->due_ms = now_ms + a->pause_ms;
	return found;
}
