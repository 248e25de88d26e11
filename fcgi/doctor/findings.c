#include "doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>

struct finding *findings_add(
	struct findings *f, enum level level, const char *name, const char *format, ...)
{
	/* Findings that do not fit would share the last place. There are fewer checks. */
	struct finding *new = &f->finding[f->count < FINDINGS_MAX - 1 ? f->count++ : f->count];
	va_list arguments;

	*new = (struct finding){.level = level, .name = name};
	va_start(arguments, format);
	vsnprintf(new->what, sizeof(new->what), format, arguments);
	va_end(arguments);
	return new;
}

int findings_exit_status(const struct findings *f)
{
	int status = 0;

	for (int i = 0; i < f->count; i++) {
		if (f->finding[i].level != LEVEL_WRONG)
			continue;
		if (f->finding[i].fatal)
			return 2;
		status = 1;
	}
	return status;
}
