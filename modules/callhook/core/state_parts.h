/* SPDX-License-Identifier: GPL-2.0-or-later */
/** What the files of the state share among themselves. */
#ifndef SB_HOOK_STATE_PARTS_H
#define SB_HOOK_STATE_PARTS_H

#include <sqlite3.h>

#include "state.h"

/* What a row tells of one event, in the order of sb_store_bind_row() and sb_store_read_row(). */
#define SB_ROW "call_id, epoch, seq, segment, offset, tries, next_at, error, type, at, sequence"
#define SB_ROW_READ SB_ROW ", body IS NOT NULL"
#define SB_SAME "endpoint = ?1 AND call_id = ?2 AND segment = ?3 AND offset = ?4"
#define SB_REPLAYED                                                                                                \
	"endpoint = ?1 AND (?2 IS NULL OR call_id = ?2) AND (?3 IS NULL OR (epoch = ?3 AND seq = ?4)) AND rowid > ?5 " \
	"AND rowid <= ?6"

#define SB_STATEMENTS(X)                                                                                            \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                                     \
	X(COMMIT, "COMMIT")                                                                                             \
	X(CURSOR, "SELECT segment, offset, url, disabled_at, disabled_why FROM cursor WHERE endpoint = ?1")             \
	X(SET_CURSOR, "INSERT OR REPLACE INTO cursor VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                  \
	X(MOVE, "UPDATE cursor SET segment = ?2, offset = ?3 WHERE endpoint = ?1")                                      \
	X(ENDPOINTS, "SELECT endpoint FROM cursor")                                                                     \
	X(FORGET, "DELETE FROM cursor WHERE endpoint = ?1")                                                             \
	X(FORGET_PENDING, "DELETE FROM pending WHERE endpoint = ?1")                                                    \
	X(FORGET_STATUS, "DELETE FROM status WHERE endpoint = ?1")                                                      \
	X(PARK, "INSERT OR IGNORE INTO pending (endpoint, " SB_ROW ") VALUES "                                          \
			"(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")                                                  \
	X(AGAIN, "UPDATE pending SET tries = ?5, next_at = ?6, error = ?7 WHERE " SB_SAME)                              \
	X(UNPARK, "DELETE FROM pending WHERE " SB_SAME)                                                                 \
	X(PROMOTE, "UPDATE pending SET next_at = ?3 WHERE endpoint = ?1 AND call_id = ?2 AND (segment, offset) = "      \
			   "(SELECT segment, offset FROM pending WHERE endpoint = ?1 AND call_id = ?2 "                         \
			   "ORDER BY segment, offset LIMIT 1)")                                                                 \
	X(HASTEN, "UPDATE pending SET next_at = ?2 WHERE endpoint = ?1 AND next_at > ?2 AND tries <= 2")                \
	X(NOT_LATER, "UPDATE pending SET next_at = ?3 WHERE endpoint = ?1 AND next_at > ?3 AND tries = ?2")             \
	X(DUE, "SELECT " SB_ROW_READ " FROM pending "                                                                   \
		   "WHERE endpoint = ?1 AND next_at > 0 AND next_at <= ?2 ORDER BY next_at LIMIT ?3")                       \
	X(NEXT_DUE, "SELECT min(next_at) FROM pending WHERE endpoint = ?1 AND next_at > 0")                             \
	X(CALLS, "SELECT call_id, count(*) FROM pending WHERE endpoint = ?1 GROUP BY call_id")                          \
	X(OLDEST, "SELECT segment, at FROM pending WHERE endpoint = ?1 AND body IS NULL ORDER BY segment LIMIT 1")      \
	X(COUNTS, "SELECT (SELECT count(*) FROM pending), (SELECT count(*) FROM dead)")                                 \
	X(BODY, "SELECT body FROM pending WHERE " SB_SAME " AND body IS NOT NULL")                                      \
	X(BURY, "INSERT INTO dead (endpoint, " SB_ROW ", given_up_at, body) VALUES "                                    \
			"(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)")                                        \
	X(TRIM, "DELETE FROM dead WHERE rowid IN (SELECT rowid FROM dead ORDER BY rowid "                               \
			"LIMIT max(0, (SELECT count(*) FROM dead) - ?1))")                                                      \
	X(REPLAY_COUNT, "SELECT count(*), ifnull(sum(body IS NOT NULL OR segment >= ?7), 0), ifnull(max(rowid), 0) "    \
					"FROM dead WHERE " SB_REPLAYED)                                                                 \
	X(REPLAY_NEXT, "SELECT rowid, call_id FROM dead WHERE " SB_REPLAYED                                             \
				   " AND (body IS NOT NULL OR segment >= ?7) ORDER BY rowid LIMIT ?8")                              \
	X(REPLAY_PARK, "INSERT OR IGNORE INTO pending (endpoint, " SB_ROW ", body) SELECT endpoint, call_id, "          \
				   "epoch, seq, segment, offset, 0, 0, error, type, at, sequence, body FROM dead WHERE rowid = ?1") \
	X(REPLAY_TAKE, "DELETE FROM dead WHERE rowid = ?1")                                                             \
	X(REPLAY_BEHIND, "UPDATE pending SET next_at = 0 WHERE endpoint = ?1 AND call_id = ?2")                         \
	X(STATUS, "INSERT OR REPLACE INTO status (endpoint, url, events, trunks, dids, state, since, delivered, "       \
			  "failed, dead, pending, waiting, in_flight, oldest_at, success_at, failure_at, probe_at, "            \
			  "rate_10s, rate_60s, error, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "       \
			  "?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)")                                                  \
	X(WORKER, "INSERT OR REPLACE INTO worker (one, pid, started_at, updated_at) VALUES (1, ?1, ?2, ?3)")

enum
{
#define X(name, sql) ST_##name,
	SB_STATEMENTS(X)
#undef X
			ST_COUNT
};

struct sb_store
{
	sqlite3 *db;
	sqlite3_stmt *st[ST_COUNT];
	bool open; /* a transaction is */
};

/* A statement, ready to be bound. */
sqlite3_stmt *sb_store_use(struct sb_store *s, int i, const char *endpoint);
/* One that writes: inside the transaction, which begins with the first. */
sqlite3_stmt *sb_store_change(struct sb_store *s, int i, const char *endpoint);
int sb_store_finish_change(struct sb_store *s, sqlite3_stmt *st);
/* The first row of the call comes due. */
int sb_store_promote(struct sb_store *s, const char *endpoint, const uint8_t call[16], uint64_t now);
void sb_store_text(char *out, size_t room, sqlite3_stmt *st, int col);
void sb_store_bind_row(sqlite3_stmt *st, const struct sb_pending *p);
void sb_store_bind_key(sqlite3_stmt *st, const struct sb_pending *p);
/* SB_ROW_READ */
void sb_store_read_row(sqlite3_stmt *st, struct sb_pending *p);

#endif
