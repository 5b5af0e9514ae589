// SPDX-License-Identifier: GPL-2.0-or-later
// What Signalbox stands on fails under load: the webhook receiver, the journal's disk, the process that writes it. Calls must
// not notice, and what could be kept must arrive. The truth is SIPp's.
//
//     OUTAGE_S=60 node tests/run.mjs --only outage        (make test: some seconds each; make chaos: 60 and 30)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertNoGaps } from '../lib/test.mjs';
import { prepare } from '../lib/harness.mjs';
import { Disk } from '../lib/disk.mjs';
import { RULES } from '../lib/load.mjs';
import { CALL, RATE, callsUnaffected, everythingArrives, say, seconds, through } from '../lib/outage.mjs';
import { poll } from '../lib/proc.mjs';

/** Runs f(sb, disk) on a Signalbox, whose journal (o.disk: its MB) or spool (o.memory) has a file system of its own; everything gone afterwards. */
async function signalbox(o, f) {
  const sb = await prepare({ rules: RULES, shm: 128, modparams: 'modparam("callhook", "probe_max", 5)\n', ...o });
  let disk;
  try {
    if (o.disk) disk = await Disk.mount(sb.journal, { mb: o.disk });
    if (o.memory) disk = await Disk.mount(sb.spool, { mb: o.memory, tmpfs: true });
    await sb.up();
    await f(sb, disk);
  } finally {
    await disk?.thaw();
    if (sb.kamailio && !sb.kamailio.exited) await sb.down();
    await disk?.remove();
    await sb.stop();
  }
}

/** The journal's files hold every event of every call, without the spool. */
async function onDisk(sb, load) {
  await sb.down();
  for (const f of fs.readdirSync(sb.spool)) fs.rmSync(path.join(sb.spool, f));
  const r = await sb.signalbox('journal', 'count');
  assert.equal(r.code, 0, r.out);
  const n = load.ended().size;
  for (const type of CALL) assert.match(r.out, new RegExp(`^ *${n} +${type}$`, 'm'), `the journal on disk of ${n} calls`);
}

const journal = (sb) => sb.rpc('callstate.journal');
const healthy = (sb) => poll(async () => { const j = await journal(sb); return j.error === 'none' && j.alarm === 'none' && j.journal_lag === 0; }, 10000, 'the journal does not become well again', 100);

test('outage_receiver_down', async () => {
  const name = 'outage_receiver_down';
  const s = seconds(6);
  await signalbox({ name: 'down' }, async (sb) => {
    const run = await through(sb, { seconds: s, begin: () => sb.receiver.close(), end: () => sb.receiver.open() });
    callsUnaffected(name, run);
    const missed = sb.receiver.events().filter((e) => e.received.at > run.from + 500 && e.received.at < run.to).length;
    assert.equal(missed, 0, 'events that came while the receiver was down');
    await everythingArrives(name, sb, run.load, 60000 + s * 2000);
  });
}, { seconds: 120 + seconds(6) * 4, alone: true });

test('outage_journal_disk_frozen', async () => {
  const name = 'outage_journal_disk_frozen';
  const s = seconds(8);
  await signalbox({ name: 'frozen', disk: 128 }, async (sb, disk) => {
    let stuck, log;
    const run = await through(sb, {
      begin: () => disk.freeze(s + 30),
      until: async () => { await sleep(s * 1000); stuck = await journal(sb); },
      end: async () => { log = sb.log(); await disk.thaw(); },
    });
    assert.ok(stuck.journal_lag > RATE * (s - 1) * 1000, `the disk is not frozen: ${JSON.stringify(stuck)}`);
    assert.match(stuck.alarm, /nothing was synced for \d+ s/);
    assert.match(log, /ERROR.*the journal in .* cannot be written/, 'said while it happens');
    callsUnaffected(name, run);
    const came = sb.receiver.events().filter((e) => e.received.at > run.from && e.received.at < run.to).length;
    assert.ok(came > RATE * (s - 1) * CALL.length * 0.8, `webhooks wait for the disk: ${came} came in ${s} s`);
    await everythingArrives(name, sb, run.load);
    await healthy(sb);
    await onDisk(sb, run.load);
  });
}, { seconds: 120 + seconds(8) * 2, alone: true });

test('outage_receiver_down_and_journal_disk_frozen_at_once', async () => {
  const name = 'outage_both_at_once';
  const s = seconds(6);
  await signalbox({ name: 'both', disk: 128 }, async (sb, disk) => {
    const run = await through(sb, {
      seconds: s,
      begin: async () => { await sb.receiver.close(); await disk.freeze(s / 2); },
      end: async () => { await disk.thaw(); await sb.receiver.open(); },
    });
    callsUnaffected(name, run);
    await everythingArrives(name, sb, run.load, 60000 + s * 2000);
    await healthy(sb);
    await onDisk(sb, run.load);
  });
}, { seconds: 120 + seconds(6) * 4, alone: true });

test('outage_journal_disk_full', async () => {
  const name = 'outage_journal_disk_full';
  await signalbox({ name: 'full', disk: 32, defines: { LOG_LEVEL: 1 } }, async (sb, disk) => {
    let full;
    const run = await through(sb, {
      begin: async () => disk.fill(),
      until: async () => {
        full = await poll(async () => { const j = await journal(sb); return j.error !== 'none' && j; }, 10000, 'the full disk is not noticed');
        await sleep(seconds(4) * 1000);
      },
      end: async () => disk.makeRoom(),
    });
    assert.match(full.error, /No space left/);
    assert.match(full.alarm, /the journal in .* cannot be written: No space left.*events wait in the spool/);
    assert.match(sb.log(), /ERROR.*the journal in .* cannot be written: No space left on device; calls go on/);
    callsUnaffected(name, run);
    await everythingArrives(name, sb, run.load);
    await healthy(sb);
    assert.match(sb.log(), /the journal in .* is written again/);
    await onDisk(sb, run.load);
  });
}, { seconds: 120 + seconds(4) * 2, alone: true });

test('outage_journal_disk_breaks_and_is_read_only', async () => {
  const name = 'outage_journal_read_only';
  await signalbox({ name: 'readonly', disk: 64 }, async (sb, disk) => {
    const run = await through(sb, {
      seconds: seconds(4),
      begin: async () => disk.fail(),
      end: async () => { assert.match((await journal(sb)).alarm, /cannot be written: Read-only file system.*events wait in the spool/); },
    });
    assert.match(sb.log(), /ERROR.*the journal in .* cannot be written: Read-only file system; calls go on/);
    callsUnaffected(name, run);
    await everythingArrives(name, sb, run.load);
    // ext4 stays so until it is mounted again: the spool must keep what the disk lacks over a stop and a start
    await sb.down();
    await disk.repair();
    await sb.up();
    await healthy(sb);
    await onDisk(sb, run.load);
  });
}, { seconds: 120 + seconds(4) * 2, alone: true });

test('outage_spool_limit_reached_sheds_in_order_and_counts', async () => {
  const name = 'outage_spool_limit';
  const rate = 200;
  await signalbox({ name: 'limit', disk: 64, defines: { SEGMENT_SIZE: 1, SPOOL_LIMIT: 2 } }, async (sb, disk) => {
    const pids = JSON.stringify(await sb.rpc('core.psx'));
    let detail, log;
    const run = await through(sb, {
      rate,
      begin: () => disk.freeze(60),
      until: async () => {
        detail = await poll(async () => { const j = await journal(sb); return j.shed_detail > 0 && j; }, 30000, 'nothing is shed');
        await poll(async () => (await journal(sb)).shed_keep > 2 * rate, 30000, 'the limit is not kept');
      },
      end: async () => { log = sb.log(); await disk.thaw(); },
    });
    const thawed = Date.now();
    callsUnaffected(name, run);
    assert.equal(JSON.stringify(await sb.rpc('core.psx')), pids, 'Kamailio has the processes that it had');
    await healthy(sb);
    const last = await sb.sipp({ scenario: fs.readFileSync(new URL('./sipp/steady_caller.xml', import.meta.url), 'utf8'), name: 'after', service: `one-${run.load.callee}`, args: ['-d', '100'] });
    assert.ok(last.ok, last.errors);
    const stats = await sb.rpc('callstate.stats');
    await poll(() => sb.receiver.events().length >= stats.events_written, 15000, () => `of ${stats.events_written} events written ${sb.receiver.events().length} arrived`, 100);

    const events = sb.receiver.events();
    const calls = assertNoGaps(events);
    const missing = (run.load.ended().size + 1) * CALL.length - events.length;
    const shed = Object.fromEntries(Object.entries(await journal(sb)).filter(([k]) => k.startsWith('shed_')));
    assert.ok(missing > 0 && missing <= stats.events_shed, `${missing} events are missing, ${stats.events_shed} records were shed`);
    assert.equal(events.length, stats.events_written);
    const complete = (list) => list.length === CALL.length;
    const late = [...calls.values()].filter((l) => l[0].received.at > thawed + 1000);
    assert.ok(late.length > 0 && late.every(complete), 'calls that began after the disk came back are whole');
    assert.match(log, /ERROR.*the spool in .* is \d+ % full/, 'said while it happens');
    say(name, `${missing} of ${missing + events.length} events shed (records: ${JSON.stringify(shed)}; ringing first, at ${Math.round(detail.spool_bytes * 100 / detail.spool_limit)} %), no gap in any sequence`);
  });
}, { seconds: 150, alone: true });

test('outage_spool_file_system_full', async () => {
  const name = 'outage_spool_file_system_full';
  await signalbox({ name: 'spoolfull', memory: 64 }, async (sb, disk) => {
    let full;
    const run = await through(sb, {
      begin: async () => disk.fill(),
      // what comes meanwhile waits in the workers' rings, 1 MB each
      until: async () => { await sleep(3000); full = await sb.rpc('callstate.stats'); },
      end: async () => disk.makeRoom(),
    });
    assert.match(sb.log(), /ERROR.*the spool .* cannot be written: No space left on device; calls go on/);
    assert.equal(full.events_lost, 0);
    callsUnaffected(name, run);
    await everythingArrives(name, sb, run.load);
    await healthy(sb);
    await onDisk(sb, run.load);
  });
}, { seconds: 120, alone: true });

test('outage_spool_process_stopped', async () => {
  const name = 'outage_spool_process_stopped';
  await signalbox({ name: 'collector' }, async (sb) => {
    const pid = await sb.pidOf('callstate spool');
    try {
      const run = await through(sb, { seconds: 3, begin: async () => process.kill(pid, 'SIGSTOP'), end: async () => process.kill(pid, 'SIGCONT') });
      callsUnaffected(name, run);
      await everythingArrives(name, sb, run.load);
      await onDisk(sb, run.load);
    } finally {
      try { process.kill(pid, 'SIGCONT'); } catch { /* it is gone */ }
    }
  });
}, { seconds: 120, alone: true });

test('outage_journal_process_stopped', async () => {
  const name = 'outage_journal_process_stopped';
  const s = seconds(6);
  await signalbox({ name: 'stopped' }, async (sb) => {
    const pid = await sb.pidOf('callstate journal');
    let stuck;
    try {
      const run = await through(sb, {
        begin: async () => process.kill(pid, 'SIGSTOP'),
        until: async () => { await sleep(s * 1000); stuck = await journal(sb); },
        end: async () => process.kill(pid, 'SIGCONT'),
      });
      assert.match(stuck.alarm, /nothing was synced for \d+ s/);
      callsUnaffected(name, run);
      await everythingArrives(name, sb, run.load);
      await healthy(sb);
      await onDisk(sb, run.load);
    } finally {
      try { process.kill(pid, 'SIGCONT'); } catch { /* it is gone */ }
    }
  });
}, { seconds: 120 + seconds(6) * 2, alone: true });
