// SPDX-License-Identifier: GPL-2.0-or-later
// call_log_queries: how long `signalbox calls` and `signalbox failures` take on a large call log, process start included, on SQLite and on
// MariaDB. CALLS=10000000 make bench ONLY=call_log_queries; without it a million. Every question is asked once, then three times more: the
// slowest of the medians counts, what the first one took is shown beside it.
// CALL_LOG_DBS=URL,URL asks databases that are filled already.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BUILD } from '../lib/paths.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { run } from '../lib/proc.mjs';
import { median, round } from './figures.mjs';

const BIN = path.join(BUILD, 'bin', 'signalbox');
const FILL = path.join(BUILD, 'bench', 'call_log_queries');
const BUDGET = 1000; /* ms */
const ROUNDS = 3;
const HOUR = 3600000;
const TABLES = ['call', 'attempt', 'event'];

/** Each filter alone, then together: those that match much, little, and nothing. {n}: a number that has few calls, {hot}: one in twelve calls. */
const QUESTIONS = `
calls
calls --number {n}
calls --number {hot}
calls --trunk carrier-b
calls --agent agent-7
calls --did +442079460055
calls --code 488
calls --code 5xx
calls --state live
calls --state failed
calls --outcome answered
calls --outcome no_response
calls --since 20d --until 19d
calls --limit 1000
calls --number {hot} --code 488
calls --number {hot} --trunk carrier-b --code 488
calls --trunk carrier-b --code 488
calls --trunk carrier-b --code 503
calls --trunk carrier-b --outcome no_response
calls --trunk carrier-b --state failed
calls --agent agent-7 --trunk carrier-b
calls --trunk carrier-b --did {hot} --code 488
calls --trunk carrier-b --did {hot} --code 486
calls --state live --trunk carrier-a
calls --code 486 --outcome no_answer
calls --state disconnected --code 486
calls --trunk nobody
calls --number anna
failures --since 1h
failures
failures --since 7d
failures --trunk carrier-b`.trim().split('\n');

async function must(argv, o = {}) {
  const r = await run(argv[0], argv.slice(1), { timeout: 3 * HOUR, ...o });
  if (r.code !== 0) throw new Error(`${path.basename(argv[0])} ${argv.slice(1, 3).join(' ')} ended with ${r.code}: ${r.out.trim().slice(-600)}`);
  return r.stdout;
}

/** The schema in two parts: tables, and the indexes that are quicker made once the rows are there. */
async function schema(dialect) {
  const all = (await must([BIN, 'db', 'sql', dialect])).split(/;\s*\n/).map((s) => s.replace(/^\s*--.*$/gm, '').trim()).filter(Boolean);
  const late = (s) => /^CREATE INDEX .* ON callstate_/.test(s);
  return { tables: `${all.filter((s) => !late(s)).join(';\n')};\n`, indexes: `${all.filter(late).join(';\n')};\n` };
}

const sh = (script, ...args) => must(['bash', '-c', `set -euo pipefail\n${script}`, 'fill', ...args.map(String)]);

async function fillSqlite(dir, calls, end) {
  const file = path.join(dir, 'call_log.db');
  const s = await schema('sqlite');
  const fast = 'PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000;\n';
  await must(['sqlite3', '-bail', file], { input: s.tables });
  await must([FILL, 'sqlite', String(calls), String(end), file]);
  await must(['sqlite3', '-bail', file], { input: fast + s.indexes });
  return { url: `sqlite:///${file}`, size: fs.statSync(file).size, stop: async () => fs.rmSync(file, { force: true }) };
}

async function fillMariadb(dir, ports, calls, end) {
  // a server of its own, with memory for the newest days
  const m = await Mariadb.start({ dir, ports, args: ['--innodb-buffer-pool-size=1G', '--innodb-log-file-size=512M', '--innodb-flush-log-at-trx-commit=2', '--local-infile=1', '--net-read-timeout=3600'] });
  const s = await schema('mariadb');
  await m.query(s.tables);
  for (const t of TABLES)
    await sh('"$1" "$2" "$3" "$4" | mariadb --no-defaults --socket "$5" --local-infile=1 "$6" -e "SET unique_checks = 0; LOAD DATA LOCAL INFILE \'/dev/stdin\' INTO TABLE callstate_$2"', FILL, t, calls, end, m.socket, m.database);
  await m.query(s.indexes, { timeout: 3 * HOUR });
  const size = await sh('du -sb "$1" | cut -f1', m.data);
  return { url: m.socketUrl, size: Number(size), stop: () => m.stop() };
}

async function ask(url, words) {
  const from = process.hrtime.bigint();
  const r = await run(BIN, ['--db', url, ...words], { timeout: 120000 });
  const ms = Number(process.hrtime.bigint() - from) / 1e6;
  if (r.code > 1 || /signalbox:/.test(r.out)) throw new Error(`signalbox ${words.join(' ')}: ${r.out.trim()}`);
  return { ms, last: r.stdout.trim().split('\n').pop() };
}

async function measure(name, url, say) {
  // of the newest call with a caller that is none of the 200 DIDs
  const rows = (await must([BIN, '--db', url, 'calls', '--json', '--limit', '50'])).trim().split('\n').map((l) => JSON.parse(l));
  const few = rows.map((r) => r.from_number).find((n) => !n.startsWith('+442079460')) ?? rows[0].to_number;
  const results = [];
  for (const q of QUESTIONS) {
    const words = q.split(' ').map((w) => w.replace('{n}', few.replace(/^\+44/, '0')).replace('{hot}', '+442079460001'));
    const first = await ask(url, words);
    const times = [];
    for (let i = 0; i < ROUNDS; i++) times.push((await ask(url, words)).ms);
    results.push({ question: q, first: round(first.ms, 0), ms: round(median(times), 0), complete: !/looked back to|were read|slow now/.test(first.last) });
    say(`  ${name.padEnd(8)} ${q.padEnd(52)} ${String(results.at(-1).ms).padStart(5)} ms  first ${String(results.at(-1).first).padStart(5)} ms  ${first.last.slice(0, 90)}`);
  }
  return results;
}

function row(name, calls, size, results) {
  const slowest = results.reduce((a, b) => (b.ms > a.ms ? b : a));
  return {
    name: `call_log_queries_${name}`, ours: slowest.ms, peer: BUDGET, peer_name: `the budget; slowest of ${results.length} questions: ${slowest.question}`, ratio: round(slowest.ms / BUDGET, 2),
    unit: `ms, ${calls} calls`, budget: `≤ ${BUDGET} ms`, holds: slowest.ms <= BUDGET, noise: `first ${Math.max(...results.map((r) => r.first))} ms`, size, runs: results,
  };
}

export async function callLogQueries(ports, say) {
  const calls = Number(process.env.CALLS ?? 1000000);
  const end = Math.floor(Date.now() / 1000);
  const filled = process.env.CALL_LOG_DBS?.split(',');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-bench-'));
  const rows = [];
  try {
    for (const name of ['sqlite', 'mariadb']) {
      const from = Date.now();
      const url = filled?.find((u) => u.startsWith(name === 'sqlite' ? 'sqlite:' : 'mysql:'));
      if (filled && !url) continue;
      const db = url ? { url, size: 0, stop: async () => {} } : name === 'sqlite' ? await fillSqlite(dir, calls, end) : await fillMariadb(dir, ports, calls, end);
      if (!url) say(`  ${name}: ${calls} calls, ${round(db.size / 1e9)} GB, made in ${round((Date.now() - from) / 1000, 0)} s`);
      try {
        rows.push(row(name, calls, db.size, await measure(name, db.url, say)));
      } finally {
        await db.stop();
      }
    }
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
  return rows;
}
