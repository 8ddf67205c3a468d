/* What this binary is: for --version, and for the record of each run. */
#ifndef HARNESS_VERSION_H
#define HARNESS_VERSION_H

/* Version, commit, compiler, flags, and the libraries as loaded (BLAS with its configuration and
 * the core type it chose): a line each, the last with its newline. Free with free(). */
char *version_text(void);

/* Version, commit, compiler and BLAS core in one line without a newline. Free with free(). */
char *version_line(void);

/* "ropewalk/0.1.0", as servers are told. Free with free(). */
char *version_agent(void);

#endif
