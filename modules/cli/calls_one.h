/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * One call of the call log with its attempts and events.
 */
#ifndef SB_CLI_CALLS_ONE_H
#define SB_CLI_CALLS_ONE_H

#include "calls_find.h"
#include "cli.h"

/**
 * @param id call id, its beginning (13 characters and more), or a SIP Call-ID: then the newest that has it
 * @return CLI_OK, CLI_NOT_FOUND (said)
 */
int calls_show(struct cli *c, struct sb_db *db, const char *id);

/** For `why`: whether the call log has it, without a word if there is no call log. @param out its call id */
bool calls_have(struct cli *c, const char *id, char out[37]);

/** Says on c->err what a database refused, and what mends it. @return CLI_NOT_FOUND */
int calls_refused(struct cli *c, struct sb_db *db, int rc);

#endif
