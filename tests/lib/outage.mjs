// SPDX-License-Identifier: GPL-2.0-or-later
// What a test of an outage looks at: calls that are made through it by SIPp, replies as quick as before, every event and row afterwards.
//
//     OUTAGE_S=60 node tests/run.mjs --only outage        (make test: some seconds each; make chaos: 60 and 30)
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Load, quantile } from './load.mjs';
import { Proc, poll } from './proc.mjs';
import { assertNoGaps } from './test.mjs';

export const seconds = (usual) => Number(process.env.OUTAGE_S ?? usual);
export const RATE = 100;
export const BEFORE_S = 3;
export const CALL = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];
// of a reply's time in the outage beyond what it was before: other tests may run beside this one
const WORSE_P50_MS = 20, WORSE_P99_MS = 250;
export const say = (name, text) => console.log(`  ${name}: ${text}`);

/** Calls before, during and after an outage. @return {load, counted, from, to}: the outage's begin and end */
export async function through(sb, o) {
  const load = await Load.start(sb, { rate: o.rate ?? RATE });
  await sleep(BEFORE_S * 1000);
  const from = Date.now();
  await o.begin();
  if (o.until) await o.until();
  else await sleep(o.seconds * 1000);
  const to = Date.now();
  await o.end();
  await sleep(1000);
  return { load, counted: await load.stop(), from, to };
}

/** Replies to calls begun between from and to came as they did to calls begun before `calm`. @return what was measured, as text */
export function repliesAsBefore(load, from, to, calm = from, least = 100) {
  const before = load.replyTimes(load.began + 500, calm);
  const during = load.replyTimes(from, to);
  const shown = [];
  for (const [what, was] of Object.entries(before)) {
    const now = during[what];
    assert.ok(was.length > least && now.length > least, `${what}: ${was.length} replies before, ${now.length} in the outage`);
    const [p50, p99, then50, then99] = [quantile(now, 0.5), quantile(now, 0.99), quantile(was, 0.5), quantile(was, 0.99)];
    shown.push(`${what} p50 ${then50} → ${p50}, p99 ${then99} → ${p99} ms`);
    assert.ok(p50 <= then50 + WORSE_P50_MS && p99 <= then99 + WORSE_P99_MS, `slower in the outage than before: ${shown.at(-1)}`);
  }
  return `INVITE to ${shown.join('; ')}`;
}

/** Not one call failed, and replies came as they did before. */
export function callsUnaffected(name, { load, counted, from, to }) {
  assert.equal(counted.failed, 0, `SIPp counts ${counted.failed} failed calls: ${counted.errors.slice(0, 1000)}`);
  const replies = repliesAsBefore(load, from, to);
  say(name, `SIPp: ${counted.successful} calls, 0 failed, ${((to - from) / 1000).toFixed(1)} s of outage; ${replies}`);
}

/** Every call that SIPp made has all its events, once, in order; waits for them. @return how many ms the last one took to come */
export async function everythingArrives(name, sb, load, ms = 30000) {
  const ids = load.ended();
  const began = Date.now();
  const wanted = ids.size * CALL.length;
  // not on every event: there are many
  await poll(() => sb.receiver.events().length >= wanted, ms, () => `of ${wanted} events ${sb.receiver.events().length} arrived`, 100);
  const took = Date.now() - began;
  const calls = assertNoGaps(sb.receiver.events());
  const seen = new Map([...calls.values()].map((list) => [list[0].data.sip_call_id, list.map((e) => e.type)]));
  assert.equal(seen.size, calls.size, 'one call_id for each Call-ID');
  assert.deepEqual([...seen.keys()].sort(), [...ids].sort(), 'the calls that SIPp made');
  for (const [id, types] of seen) assert.deepEqual(types, CALL, `events of ${id}`);
  assert.equal(sb.receiver.counts().bad, 0, 'signatures, JSON');
  say(name, `${sb.receiver.events().length} events of ${ids.size} calls, all there ${(took / 1000).toFixed(1)} s after the last call; ${sb.receiver.requests.length - wanted} delivered again`);
  return took;
}

/** Locks an SQLite file as another process that writes it for long. @return a function that lets it go */
export async function lockSqlite(db, log) {
  const p = new Proc('sqlite3', ['-bail', '-cmd', '.timeout 5000', db], { log, stdin: 'pipe' });
  p.child.stdin.write("BEGIN EXCLUSIVE;\nSELECT 'locked';\n");
  await poll(() => p.tail().includes('locked') || p.exited, 10000, 'the lock is not taken');
  if (p.exited) throw new Error(`${db} cannot be locked: ${p.tail()}`);
  return () => { p.child.stdin.end('COMMIT;\n.quit\n'); return p.done; };
}
