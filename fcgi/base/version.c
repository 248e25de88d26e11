#include "base/version.h"

#ifndef ROWTAIL_COMMIT
#define ROWTAIL_COMMIT ""
#endif

const char *version_commit(void)
{
	return ROWTAIL_COMMIT;
}

void version_print(FILE *out, const char *program, const char *libraries)
{
	const char *commit = version_commit();

	fprintf(out, "%s %s (%s%s%s)\n", program, ROWTAIL_VERSION, libraries,
		*commit ? ", commit " : "", commit);
}
