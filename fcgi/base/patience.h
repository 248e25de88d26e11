/*
 * patience: what happens when setting up takes long.
 *
 * Signals wait while the process sets itself up (see signals), and a file system that does not answer can
 * hold it there for ever, deaf. So after some seconds standard error says what is waited for, and a
 * SIGTERM, SIGINT or SIGQUIT that waits ends the process then, with status 0.
 */
#ifndef ROWTAIL_PATIENCE_H
#define ROWTAIL_PATIENCE_H

/*
 * From now on until patience_end(). Both texts are borrowed until then: sentence is what to say, with a
 * newline; path is a socket that is to be removed at such an end, "" for none.
 */
void patience_begin(const char *sentence, const char *path);
void patience_end(void);

#endif
