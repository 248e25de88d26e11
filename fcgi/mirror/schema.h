/*
 * schema: the text of schema/rowtail.sql, which makes the copy. The Makefile puts it here.
 */
#ifndef ROWTAIL_MIRROR_SCHEMA_H
#define ROWTAIL_MIRROR_SCHEMA_H

extern const char mirror_schema[];

#endif
