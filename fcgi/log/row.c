#include "log/row.h"

#include <string.h>

static const char *const reserved[] = {"open", "error", "position", "gap", "denied"};

bool row_type_is_reserved(const char *type, size_t length)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (length == strlen(reserved[i]) && !memcmp(type, reserved[i], length))
			return true;
	return false;
}

bool row_type_is_end(const char *type, size_t length)
{
	return length == strlen("end") && !memcmp(type, "end", length);
}
