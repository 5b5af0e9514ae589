// SPDX-License-Identifier: GPL-2.0-or-later
// Kamailio started as root with -u: what root's start makes must be the later user's, or nothing can be written.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test, assertSound, Skip } from '../lib/test.mjs';
import { prepare, refused, sqlite } from '../lib/harness.mjs';
import { poll } from '../lib/proc.mjs';

const NOBODY = 65534;
const USER = ['-u', 'nobody', '-g', 'nogroup'];
const ANSWERED = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];
const scenario = (name) => new URL(`./sipp/${name}.xml`, import.meta.url).pathname;

/** Signalbox on folders of the user nobody, on a path that it may walk. */
async function withFolders(name, f) {
  if (process.getuid() !== 0) throw new Skip('needs root, to drop it');
  const dir = fs.mkdtempSync('/dev/shm/signalbox-user-');
  fs.chmodSync(dir, 0o755);
  fs.chownSync(dir, NOBODY, NOBODY);
  const of = (n) => path.join(dir, n);
  for (const d of ['spool', 'journal', 'hooks']) {
    fs.mkdirSync(of(d), { mode: 0o750 });
    fs.chownSync(of(d), NOBODY, NOBODY);
  }
  const sb = await prepare({
    name, args: USER, rules: 'route[RULES] {\n\t$ru = "sip:x@127.0.0.3:" + $(rU{s.select,1,-});\n\troute(RELAY);\n}\n',
    defines: { SPOOL_DIR: of('spool'), JOURNAL_DIR: of('journal'), HOOKS_DIR: of('hooks'), DB_URL: `sqlite:///${of('signalbox.db')}` },
  });
  try {
    fs.copyFileSync(sb.db, of('signalbox.db'));
    fs.chownSync(of('signalbox.db'), NOBODY, NOBODY);
    await f(sb, of);
  } finally {
    await sb.stop();
    fs.rmSync(dir, { recursive: true });
  }
}

test('started_as_root_and_running_as_a_user_everything_is_written_by_that_user', () => withFolders('dropped', async (sb, of) => {
  await sb.up();
  for (let start = 1; start <= 2; start++) {
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 1 });
    const r = await sb.sipp({ scenario: scenario('caller'), service: `to-${uas.port}`, calls: 1, args: ['-d', '100'] });
    assert.ok(r.ok, r.errors);
    await sb.receiver.until((e) => e.filter((x) => x.type === 'call.cdr').length === start, { what: `the CDR of call ${start}` });
    if (start === 1) await sb.restart();
  }
  assert.deepEqual(sb.receiver.events().map((e) => e.type), [...ANSWERED, ...ANSWERED]);
  assertSound(sb.receiver.events());
  const rows = async () => (await sqlite(of('signalbox.db'), 'SELECT COUNT(*), COUNT(ended_at) FROM callstate_call')).trim();
  await poll(async () => await rows() === '2|2', 5000, async () => `the call log has ${await rows()} calls and ends`);
  const others = execFileSync('find', [of('.'), '!', '-user', 'nobody'], { encoding: 'utf8' });
  assert.equal(others, '', 'files that are not the user\'s');
}));

test('started_as_root_a_folder_that_only_root_can_write_is_refused_at_the_start', () => withFolders('rootsfolder', async (sb, of) => {
  fs.chownSync(of('spool'), 0, 0);
  const { log, left } = await refused(sb);
  assert.match(log, /spool_dir \S+ .*chown -R nobody/);
  assert.equal(left, false);
}));

test('started_as_root_a_database_that_only_root_can_read_is_refused_at_the_start', () => withFolders('rootsdb', async (sb, of) => {
  fs.chownSync(of('signalbox.db'), 0, 0);
  fs.chmodSync(of('signalbox.db'), 0o600);
  const { log, left } = await refused(sb);
  assert.match(log, /signalbox\.db cannot be opened: Permission denied.* expected a database that the user Kamailio runs as can read and write/);
  assert.equal(left, false);
}));
