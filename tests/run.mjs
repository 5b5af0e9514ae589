// SPDX-License-Identifier: GPL-2.0-or-later
// Runs tests/integration/*.test.mjs and the scenarios.
//
//     node tests/run.mjs [--only TEXT] [--results FILE] [--jobs N]
//
// One line a test; FILE gets "pass NAME", "fail NAME" or "skip NAME: why" for each. Exit status 1 if one failed.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './lib/paths.mjs';
import { Skip, registered } from './lib/test.mjs';

const arg = (name) => { const i = process.argv.indexOf(`--${name}`); return i < 0 ? undefined : process.argv[i + 1]; };
const only = arg('only');
const results = arg('results');
const jobs = Number(arg('jobs') ?? Math.max(2, os.cpus().length));
let failed = 0;
let passed = 0;
let skips = 0;

function report(name, ok, detail = '', seconds = undefined) {
  ok ? passed++ : failed++;
  const time = seconds === undefined ? '' : `  ${seconds.toFixed(1)} s`;
  console.log(`  ${ok ? 'ok  ' : 'FAIL'} ${name}${time}`);
  if (!ok && detail) console.log(detail.replace(/^/gm, '       '));
  if (results) fs.appendFileSync(results, `${ok ? 'pass' : 'fail'} ${name}\n`);
}

function skipped(name, why) {
  skips++;
  console.log(`  skip ${name}: ${why}`);
  if (results) fs.appendFileSync(results, `skip ${name}: ${why}\n`);
}

async function one(t) {
  const began = Date.now();
  let timer;
  try {
    await Promise.race([t.fn(), new Promise((_, no) => { timer = setTimeout(() => no(new Error(`not finished after ${t.seconds} s`)), t.seconds * 1000); })]);
    report(t.name, true, '', (Date.now() - began) / 1000);
  } catch (e) {
    if (e instanceof Skip) skipped(t.name, e.message);
    else report(t.name, false, e.stack ?? String(e), (Date.now() - began) / 1000);
  } finally {
    clearTimeout(timer);
  }
}

async function inParallel(list, n) {
  const queue = [...list];
  await Promise.all(Array.from({ length: n }, async () => { while (queue.length) await one(queue.shift()); }));
}

setInterval(() => {}, 1000); // sockets do not keep this process alive, tests that wait for one must
for (const what of ['unhandledRejection', 'uncaughtException'])
  process.on(what, (e) => report('no test leaves an error behind', false, e?.stack ?? String(e)));

const dir = path.join(ROOT, 'tests', 'integration');
for (const f of fs.readdirSync(dir).filter((n) => n.endsWith('.test.mjs')).sort()) {
  try { await import(pathToFileURL(path.join(dir, f))); } catch (e) { report(`tests/integration/${f} can be loaded`, false, e.stack); }
}
const chosen = registered.filter((t) => !only || t.name.includes(only));
await inParallel(chosen.filter((t) => !t.alone), jobs);
await inParallel(chosen.filter((t) => t.alone), 1);

/** Every scenario, on one Signalbox. */
async function scenarios() {
  const S = await import(pathToFileURL(path.join(ROOT, 'sipp-scenarios', 'run.mjs')));
  const wanted = S.load(only ? [only] : undefined);
  if (!wanted.length) return;
  const { start } = await import('./lib/harness.mjs');
  const sb = await start(S.harnessOptions());
  try {
    const each = (r) => console.log(`  ...  ${r.name}`);
    const results = await S.run({ harness: sb, only: wanted.map((w) => w.name), each: process.env.V === '1' ? each : undefined });
    for (const r of results) report(`scenario ${r.name}`, r.ok, r.ok ? '' : S.explain(r));
  } finally {
    report('scenarios: Kamailio stops by itself', await sb.stop());
  }
}

try { await scenarios(); } catch (e) { report('the scenarios can be played', false, e.stack); }
if (passed + failed + skips === 0) {
  console.log(`  no test is called ${only}`);
  failed = 1;
}
process.exit(failed ? 1 : 0);
