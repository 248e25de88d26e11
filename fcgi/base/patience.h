/*
 * patience: what happens when startup takes long.
 *
 * Signals are held during startup (see signals.h), and a file system that does not answer can block
 * startup for ever. So after some seconds rowtail writes to standard error what it is waiting for,
 * and from then on a held SIGTERM, SIGINT or SIGQUIT ends the process with status 0.
 */
#ifndef ROWTAIL_PATIENCE_H
#define ROWTAIL_PATIENCE_H

/*
 * In effect until patience_end(); both texts are borrowed until then. sentence: what to write, with
 * a newline. path: a socket to remove if a signal ends the process; "" for none.
 */
void patience_begin(const char *sentence, const char *path);
void patience_end(void);

#endif
