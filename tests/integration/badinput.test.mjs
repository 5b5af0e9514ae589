// SPDX-License-Identifier: GPL-2.0-or-later
// A start that cannot be right is refused: with a sentence that says what, where and what mends it, and with nothing left
// running. What is bad is put right then, and the same directories serve.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from '../lib/test.mjs';
import { prepare, refused, sqlite, start } from '../lib/harness.mjs';

/**
 * @param o.bad    what to break: async (sb) => undefined
 * @param o.says   regular expressions that the log must match; a function gets the harness
 * @param o.mend   what puts it right again; without it nothing more is tried
 */
function refuses(name, o) {
  test(name, async () => {
    const sb = await prepare({ name: 'bad', ...o.options });
    try {
      await o.bad?.(sb);
      const r = await refused(sb);
      assert.equal(r.left, false, 'processes were left behind');
      const says = typeof o.says === 'function' ? o.says(sb) : o.says;
      const errors = r.log.split('\n').filter((l) => /ERROR|CRITICAL/.test(l)).join('\n');
      for (const s of says) assert.match(errors, s);
      if (o.mend) {
        await o.mend(sb);
        sb.configure();
        await sb.up();
      }
    } finally {
      await sb.stop();
    }
  });
}

const literal = (s) => new RegExp(s.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'));
const use = (defines) => (sb) => { sb.o.defines = defines; sb.configure(); };
const good = (sb) => { sb.o.defines = {}; };

// not even root makes a file there
const READ_ONLY = '/sys/kernel';

refuses('a_missing_spool_folder', {
  bad: (sb) => fs.rmSync(sb.spool, { recursive: true }),
  says: (sb) => [/spool_dir/, literal(sb.spool), /install -d|mkdir/],
  mend: (sb) => fs.mkdirSync(sb.spool),
});

refuses('a_missing_journal_folder', {
  bad: (sb) => fs.rmSync(sb.journal, { recursive: true }),
  says: (sb) => [/journal_dir/, literal(sb.journal), /install -d|mkdir/],
  mend: (sb) => fs.mkdirSync(sb.journal),
});

refuses('a_spool_folder_that_cannot_be_written', { bad: use({ SPOOL_DIR: READ_ONLY }), says: [literal(READ_ONLY), /writ|permission|read-only/i], mend: good });

refuses('a_journal_folder_that_cannot_be_written', { bad: use({ JOURNAL_DIR: READ_ONLY }), says: [literal(READ_ONLY), /writ|permission|read-only/i], mend: good });

refuses('a_spool_folder_that_is_a_file', {
  bad: (sb) => { fs.rmSync(sb.spool, { recursive: true }); fs.writeFileSync(sb.spool, ''); },
  says: (sb) => [/spool_dir/, literal(sb.spool), /director|folder/i],
  mend: (sb) => { fs.rmSync(sb.spool); fs.mkdirSync(sb.spool); },
});

for (const [name, value] of Object.entries({ CALLS_MAX: 0, SYNC_MS: -5, SEGMENT_SIZE: 0, SPOOL_LIMIT: 1, JOURNAL_LIMIT: 0, MAX_DURATION: -1, SETUP_TIMEOUT: -1 }))
  refuses(`${name.toLowerCase()}_${String(value).replace('-', 'minus_')}`, { bad: use({ [name]: value }), says: [literal(name.toLowerCase()), literal(String(value))], mend: good });

refuses('a_parameter_that_does_not_exist', { options: { modparams: 'modparam("callstate", "spol_dir", "/x")\n' }, says: [/spol_dir/] });

refuses('an_empty_spool_parameter', { bad: use({ SPOOL_DIR: '' }), says: [/spool_dir/], mend: good });

refuses('a_database_that_cannot_be_opened', {
  bad: use({ DB_URL: 'sqlite:////nonexistent/signalbox.db' }),
  says: [/callhook/, /nonexistent\/signalbox\.db/, /signalbox db migrate --db 'sqlite:\/\/\/\/?nonexistent\/signalbox\.db'/],
  mend: good,
});

refuses('a_database_without_its_table', {
  bad: (sb) => sqlite(sb.db, 'DROP TABLE callhook_endpoint;'),
  says: (sb) => [/callhook_endpoint/, literal(`signalbox db migrate --db 'sqlite://${sb.db}'`)],
  mend: async (sb) => { fs.rmSync(sb.db); await sb.database(); },
});

refuses('an_outdated_database', {
  bad: (sb) => sqlite(sb.db, "UPDATE version SET table_version = 99 WHERE table_name = 'callhook_endpoint';"),
  says: [/callhook_endpoint/, /99/],
  mend: async (sb) => { fs.rmSync(sb.db); await sb.database(); },
});

refuses('a_database_without_users_table', {
  bad: (sb) => sqlite(sb.db, 'DROP VIEW routing_credential;'),
  says: [/routing_credential|htable/],
});

const ROWS = {
  an_endpoint_with_another_scheme: ["url = 'ftp://127.0.0.1/x'", [/crm/, /ftp:/, /http/]],
  an_endpoint_without_url: ["url = ''", [/crm/, /url/]],
  an_endpoint_with_a_short_secret: ["secret = 'whsec_c2hvcnQ='", [/crm/, /secret/]],
  an_endpoint_with_a_secret_that_is_not_base64: ["secret = 'whsec_!!!!'", [/crm/, /secret/]],
};
for (const [name, [set, says]] of Object.entries(ROWS))
  refuses(name, {
    bad: (sb) => sqlite(sb.db, `UPDATE callhook_endpoint SET ${set};`),
    says: [/callhook_endpoint/, ...says],
    mend: async (sb) => { fs.rmSync(sb.db); await sb.database(); },
  });

test('a_refused_endpoint_row_does_not_print_the_secret', async () => {
  const sb = await prepare({ name: 'secret' });
  try {
    await sqlite(sb.db, "UPDATE callhook_endpoint SET secret = 'whsec_dontprintme!';");
    const r = await refused(sb);
    assert.doesNotMatch(r.log, /dontprintme/);
  } finally {
    await sb.stop();
  }
});

test('a_second_instance_on_the_same_spool_is_refused_and_the_first_goes_on', async () => {
  const first = await start({ name: 'first' });
  const second = await prepare({ name: 'second' });
  try {
    second.o.defines = { SPOOL_DIR: first.spool };
    second.configure();
    const r = await refused(second);
    const holder = r.log.match(/pid (\d+)/)?.[1];
    assert.ok(holder, `names no process:\n${r.log}`);
    const stat = fs.readFileSync(path.join('/proc', holder, 'stat'), 'utf8');
    assert.equal(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]), first.kamailio.pid, 'and the one it names is the first instance');
    assert.equal(r.left, false);
    assert.match(await first.rpc('core.version'), /kamailio/);
    await first.rpc('callstate.stats');
  } finally {
    await second.stop();
    await first.stop();
  }
});

test('a_second_instance_on_the_same_state_dir_is_refused_and_the_first_goes_on', async () => {
  const first = await start({ name: 'first-state' });
  const second = await prepare({ name: 'second-state' });
  try {
    second.o.defines = { HOOKS_DIR: first.hooks };
    second.configure();
    const r = await refused(second);
    assert.match(r.log, literal(`state_dir ${first.hooks} is in use by another Kamailio`));
    assert.equal(r.left, false);
    assert.equal((await first.rpc('callhook.endpoints')).length, 1);
    await first.down();
    await second.up();
  } finally {
    await second.stop();
    await first.stop();
  }
});
