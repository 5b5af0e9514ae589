// SPDX-License-Identifier: GPL-2.0-or-later
// make bench: ours beside the stock part, on this machine, now. `node tests/bench/bench.mjs [name,…]`, or ONLY=name,….
// BENCH_ROUNDS, BENCH_SECONDS, BENCH_RATE: how long trail_vs_dialog measures.
// CALLS: how many calls call_log_queries makes (a million).
// Writes build/bench/results.json: a list of {name, ours, peer, peer_name, ratio, unit, budget, holds, noise, runs}.
import fs from 'node:fs';
import path from 'node:path';
import { BUILD } from '../lib/paths.mjs';
import { Ports } from '../lib/ports.mjs';
import { about, load, machine } from './figures.mjs';
import { trailVsDialog } from './trail.mjs';
import { shmPerCall } from './shm.mjs';
import { journalAppend } from './append.mjs';
import { callLogQueries } from './call_log_queries.mjs';
import { callLogRows } from './call_log_rows.mjs';
import { webhookVsWrk } from './webhook_vs_wrk.mjs';
import { eventLatency } from './event_latency.mjs';
import { setupWithDbStopped } from './setup_with_db_stopped.mjs';

const env = (name, otherwise) => Number(process.env[name] ?? otherwise);
const say = (line) => process.stdout.write(`${line}\n`);

const benches = {
  journal_append: () => journalAppend(say),
  webhook_vs_wrk: (ports, dir) => webhookVsWrk(ports, dir, { rounds: env('BENCH_ROUNDS', 8), seconds: 3 }, say),
  event_latency: () => eventLatency({ rounds: 3, calls: 60 }, say),
  call_log_rows: (ports, dir) => callLogRows(ports, dir, say),
  call_log_queries: (ports) => callLogQueries(ports, say),
  shm_per_call: (ports, dir) => shmPerCall(ports, dir, say),
  trail_vs_dialog: (ports, dir) => trailVsDialog(ports, dir, { rounds: env('BENCH_ROUNDS', 8), seconds: env('BENCH_SECONDS', 5), rate: env('BENCH_RATE', 300) }, say),
  setup_with_db_stopped: (ports, dir) => setupWithDbStopped(ports, dir, { rounds: env('BENCH_ROUNDS', 6), peerRounds: 2, seconds: env('BENCH_SECONDS', 5), rate: 100 }, say),
};

function chosen() {
  const only = (process.argv[2] || process.env.ONLY || '').split(',').filter(Boolean);
  const unknown = only.filter((n) => !benches[n]);
  if (unknown.length) throw new Error(`no bench named ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}`);
  return only.length ? only : Object.keys(benches);
}

function table(rows) {
  const head = ['what', 'ours', 'peer', 'ratio', 'budget', 'holds', 'noise', 'unit; peer'];
  const lines = rows.map((r) => [r.name, r.ours, r.peer, r.ratio, r.budget, r.holds ? 'yes' : 'NO', r.noise, `${r.unit}; ${r.peer_name}`].map(String));
  const width = head.map((h, i) => Math.max(h.length, ...lines.map((l) => l[i].length)));
  for (const l of [head, ...lines]) say(l.map((c, i) => c.padEnd(width[i])).join('  ').trimEnd());
}

/** What was measured now takes the place of what an earlier run found under the same name. */
function keep(rows) {
  const file = path.join(BUILD, 'bench', 'results.json');
  let old = [];
  try { old = JSON.parse(fs.readFileSync(file, 'utf8')); } catch (e) { if (e.code !== 'ENOENT') throw e; }
  const all = [...old.filter((r) => !rows.some((n) => n.name === r.name)), ...rows];
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(all, null, 1)}\n`);
  fs.renameSync(`${file}.new`, file);
  say(`\n${path.relative(process.cwd(), file)} written`);
}

async function main() {
  const names = chosen();
  const dir = path.join(BUILD, 'run', `bench-${process.pid}`);
  fs.mkdirSync(dir, { recursive: true });
  fs.mkdirSync(path.join(BUILD, 'bench'), { recursive: true });
  const ports = await Ports.take();
  const rows = [];
  const before = machine();
  say(`${about()}; Kamailio with -x fm -X fm on every side`);
  for (const name of names) {
    say(`\n${name}`);
    rows.push(...await benches[name](ports, dir));
  }
  const m = load(before, machine());
  say('');
  table(rows);
  say(`machine ${m.busy} % busy over the whole run, ${m.steal} % stolen by its host`);
  keep(rows);
  ports.close();
}

main().then(() => process.exit(0), (e) => { process.stderr.write(`bench: ${e.message}\n`); process.exit(1); });
