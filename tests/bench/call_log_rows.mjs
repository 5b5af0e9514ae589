// SPDX-License-Identifier: GPL-2.0-or-later
// call_log_rows: rows of callstate_event, 500 a transaction, into a MariaDB of its own by bulk statements, beside multi-row INSERTs of
// the same rows in turns; and into SQLite the same way. Both as durable as by default: a commit is on disk.
import fs from 'node:fs';
import path from 'node:path';
import { BUILD } from '../lib/paths.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { run } from '../lib/proc.mjs';
import { median, round, spread } from './figures.mjs';

const ROUNDS = 8;
const ROWS = 20000;
const MARIADB = 60000, MARIADB_RATIO = 1.4, SQLITE = 20000; /* rows a second */

/** Rows a second of both sides, for each round. */
async function measure(url) {
  const r = await run(path.join(BUILD, 'bench', 'call_log_rows'), [url, String(ROUNDS), String(ROWS)], { timeout: 120000 });
  if (r.code !== 0) throw new Error(`call_log_rows ended with ${r.code}: ${r.out.trim()}`);
  const m = JSON.parse(r.stdout);
  return { batch: m.batch, ours: m.ours_ns.map((ns) => m.rows / (ns / 1e9)), peer: m.peer_ns.map((ns) => m.rows / (ns / 1e9)) };
}

function row(name, m, budget, least, ratio, peer) {
  const f = { ours: Math.round(median(m.ours)), peer: Math.round(median(m.peer)), ratio: round(median(m.ours.map((v, i) => v / m.peer[i])), 2) };
  return {
    name, ...f, peer_name: peer, unit: 'rows/s, median', budget, holds: f.ours >= least && f.ratio >= ratio, noise: `± ${round(spread(m.ours))} %`,
    runs: m.ours.map((v, i) => ({ ours: Math.round(v), peer: Math.round(m.peer[i]) })),
  };
}

export async function callLogRows(ports, dir, say) {
  const m = await Mariadb.start({ dir, ports, args: ['--innodb-buffer-pool-size=256M', '--innodb-log-file-size=256M'] });
  let mariadb;
  try { mariadb = await measure(m.url); } finally { await m.stop(); }
  const file = path.join(dir, 'call_log_rows.db');
  let sqlite;
  try { sqlite = await measure(`sqlite:///${file}`); } finally { for (const end of ['', '-wal', '-shm']) fs.rmSync(file + end, { force: true }); }
  const rows = [
    row('call_log_rows', mariadb, `≥ ${MARIADB} rows/s, ≥ ${MARIADB_RATIO} ×`, MARIADB, MARIADB_RATIO, `MariaDB, INSERT of ${mariadb.batch} rows`),
    row('call_log_rows_sqlite', sqlite, `≥ ${SQLITE} rows/s`, SQLITE, 0, `SQLite, INSERT of ${sqlite.batch} rows`),
  ];
  for (const r of rows) say(`  ${r.name}: ${r.ours} rows/s, ${r.peer_name} ${r.peer} rows/s, ${r.ratio} ×`);
  return rows;
}
