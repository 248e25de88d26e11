#include "doctor/mark.h"

#include <stdio.h>
#include <string.h>

#define BEGINNING "rowtail-doctor row "

void mark_text(char text[MARK_MAX], int number)
{
	snprintf(text, MARK_MAX,
		BEGINNING "%d <!--#echo var=\"DATE_LOCAL\" --> {{.Host}} <?= 1 ?> "
			  "http://localhost/ gr\xc3\xbc\xc3\x9f\x65 \xd0\x96 100%%",
		number);
}

int mark_number(const char *data, bool *same)
{
	char text[MARK_MAX];
	int number;

	if (strncmp(data, BEGINNING, strlen(BEGINNING)) != 0)
		return -1;
	number = data[strlen(BEGINNING)] - '0';
	if (number < 0 || number > 9)
		return -1;
	mark_text(text, number);
	*same = !strcmp(text, data);
	return number;
}
