/* SPDX-License-Identifier: GPL-2.0-or-later */
/** signalbox hooks dead: events given up, and how to send them again. */
#ifndef SB_CLI_HOOKS_DEAD_H
#define SB_CLI_HOOKS_DEAD_H

#include "cli.h"

int hooks_dead(struct cli *c, int argc, char **argv);

#endif
