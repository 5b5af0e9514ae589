// SPDX-License-Identifier: GPL-2.0-or-later
// SIGKILL of everything, and of the main process alone: what SIPp saw answered is on record, from beginning to end.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, assertSound } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { Callee } from '../peers/callee.mjs';

const scenario = (name) => path.join(path.dirname(fileURLToPath(import.meta.url)), 'sipp', `${name}.xml`);
const rules = 'route[RULES] {\n\t$ru = "sip:x@127.0.0.3:" + $(rU{s.select,1,-});\n\troute(RELAY);\n}\n';
const KILLS = Number(process.env.KILLS ?? 25);
const pause = (ms) => new Promise((r) => setTimeout(r, ms));

/** Numbers that are the same in every run, and written in the failure. */
function random(seed) {
  let s = seed;
  return () => { s = (Math.imul(s, 1664525) + 1013904223) >>> 0; return s / 2 ** 32; };
}

/** What must hold for each call that SIPp saw answered. */
function judge(sb, answered) {
  const calls = new Map();
  for (const e of sb.receiver.events()) {
    const list = calls.get(e.data.sip_call_id) ?? [];
    list.push(e);
    calls.set(e.data.sip_call_id, list);
  }
  const wrong = [];
  for (const id of answered) {
    const events = calls.get(id) ?? [];
    const types = events.map((e) => e.type);
    const has = (t) => types.filter((x) => x === t).length === 1;
    const ok = has('call.initiated') && has('call.answered') && (has('call.ended') || has('call.timeout')) && has('call.cdr')
      && new Set(events.map((e) => e.data.call_id)).size === 1 && events.every((e, i) => e.data.sequence === i + 1);
    if (!ok) wrong.push(`${id}: ${events.map((e) => `${e.data.sequence} ${e.type}${e.data.inferred ? ' (inferred)' : ''}`).join(', ') || 'nothing'}`);
  }
  return wrong;
}

async function killed(name, kill, seed) {
  const rnd = random(seed);
  const sb = await start({ name, rules, defines: { SETUP_TIMEOUT: 20, MAX_DURATION: 60 }, shm: 128 });
  const callee = await Callee.open(await sb.ports.next());
  try {
    const total = Math.ceil(KILLS * 1.3 * 100) + 300;
    const sipp = await sb.sippStart({ scenario: scenario('crash'), service: `to-${callee.port}`, calls: total, rate: 100, trace: false, timeout: 180,
      args: ['-d', '1500', '-trace_logs', '-log_file', path.join(sb.dir, 'answers.log'), '-max_retrans', '20'] });
    for (let i = 0; i < KILLS; i++) {
      await pause(300 + rnd() * 1200);
      await sb.kill9(kill(i));
      await sb.restart();
    }
    const r = await sipp.done;
    const answered = new Set((fs.readFileSync(path.join(sb.dir, 'answers.log'), 'utf8').match(/answered \S+/g) ?? []).map((l) => l.slice(9)));
    assert.ok(answered.size > total / 2, `SIPp saw only ${answered.size} of ${total} answered\n${r.errors.slice(0, 2000)}`);
    await sb.receiver.until(() => judge(sb, answered).length === 0, { ms: 60000, what: `${answered.size} answered calls to be complete` })
      .catch(() => {});
    const wrong = judge(sb, answered);
    assert.equal(wrong.length, 0, `seed ${seed}: ${wrong.length} of ${answered.size} answered calls are not right:\n${wrong.slice(0, 20).join('\n')}`);
    assertSound(sb.receiver.events());
  } finally {
    callee.close();
    await sb.stop();
  }
}

test('killed_altogether_under_load_nothing_answered_is_lost', () => killed('killall', () => ({}), 7), { seconds: 240, alone: true });

test('main_killed_alone_under_load_its_orphans_go_and_nothing_answered_is_lost', () => killed('killmain', () => ({ main: true }), 11), { seconds: 240, alone: true });
