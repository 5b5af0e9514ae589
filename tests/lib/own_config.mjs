// SPDX-License-Identifier: GPL-2.0-or-later
// Somebody else's kamailio.cfg with Signalbox in it: Debian's file as the package has it, the lines of the documentation, and what a
// test puts beside them. Only folders and the database are other ones, by modparam lines behind.
//
//     const x = await own(config(), { name: 'debian' });             the lines alone
//     const x = await own(config({ load, params, edits, routes }), { defines: ['WITH_TLS'], … });
//     x.proxy, x.port, x.dir, x.receiver; await x.rpc('callstate.calls'); await x.signalbox('why', id); x.text()
//     await scenarios(x, ['busy', 'held'])                            sipp-scenarios through it: SIPp's counts and the events
//     await x.stop()
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { explain, run as play } from '../../sipp-scenarios/run.mjs';
import { BUILD, ROOT } from './paths.mjs';
import { Ports } from './ports.mjs';
import { Proc, onExit, poll, run } from './proc.mjs';
import { Skip, assertEvents } from './test.mjs';
import { Receiver } from '../peers/receiver.mjs';
import { Ua } from '../peers/ua.mjs';

export const CONFIG = '/etc/kamailio/kamailio.cfg';
export const PAGES = ['README.md', 'docs/add-to-my-kamailio.md'];
export const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** The ```diff blocks of a page, each [what is there, what is there afterwards]. */
export function hunks(page) {
  const found = [...read(page).matchAll(/^```diff\n(.*?)^```$/gms)].map(([, block]) => {
    const lines = block.trimEnd().split('\n');
    const side = (other) => `${lines.filter((l) => l[0] !== other).map((l) => l.slice(1)).join('\n')}\n`;
    return [side('+'), side('-')];
  });
  assert.ok(found.length > 0, `${page} has no \`\`\`diff block`);
  return found;
}

/** Lines that a page adds. */
export const added = (page) => [...read(page).matchAll(/^```diff\n(.*?)^```$/gms)].flatMap(([, b]) => b.split('\n').filter((l) => l[0] === '+').map((l) => l.slice(1)));

/** Debian's file, if it is as the package has it; else this cannot be tried here. */
async function untouched() {
  if (!fs.existsSync(CONFIG)) throw new Skip(`there is no ${CONFIG}`);
  const [, sum] = (await run('dpkg-query', ['-W', '-f', '${Conffiles}', 'kamailio'])).stdout.match(new RegExp(`${CONFIG} (\\w+)`)) ?? [];
  const [is] = (await run('md5sum', [CONFIG])).stdout.split(' ');
  if (sum !== is) throw new Skip(`${CONFIG} is not as Debian's package has it`);
  return fs.readFileSync(CONFIG, 'utf8');
}

/** Replaces what stands there exactly once. */
export function edit(text, before, after, who = 'this test') {
  assert.equal(text.split(before).length, 2, `${who}: these lines are not once in ${CONFIG}:\n${before}`);
  return text.replace(before, () => after);
}

const MARKER = '####### Routing Logic ########\n';
const LAST_MODULE = 'loadmodule "callhook.so"\n';
export const START = '\tif (is_method("INVITE")) callstate_start();\n';

/**
 * Debian's file with the lines of the page, and what a test adds.
 *
 * @param o.page    default the longer one
 * @param o.load    loadmodule lines behind ours
 * @param o.params  lines before the routing part
 * @param o.edits   [[before, after], …]
 * @param o.routes  further routes
 */
export async function config(o = {}) {
  let text = await untouched();
  const page = o.page ?? PAGES[1];
  for (const [before, after] of hunks(page)) text = edit(text, before, after, page);
  if (o.load) text = edit(text, LAST_MODULE, `${LAST_MODULE}${o.load}`);
  if (o.params) text = edit(text, MARKER, `${o.params}${MARKER}`);
  for (const [before, after] of o.edits ?? []) text = edit(text, before, after);
  return `${text}\n${o.routes ?? ''}`;
}

/** For a module beside that keeps its own tables in SQLite. */
export const SQLITE = ['loadmodule "kex.so"\n', 'loadmodule "db_sqlite.so"\nloadmodule "kex.so"\n'];

/** Where the calls of sipp-scenarios go: one, several at once. */
export const TARGETS = {
  edits: [['\troute(LOCATION);\n', '\troute(TARGETS);\n\troute(LOCATION);\n']],
  routes: `
route[TARGETS] {
	if (!is_method("INVITE")) return;
	$var(where) = $(rU{s.select,0,.});
	$var(how) = $(var(where){s.select,0,-});
	$var(p1) = $(var(where){s.select,1,-});
	$var(p2) = $(var(where){s.select,2,-});
	$var(p3) = $(var(where){s.select,3,-});
	if ($rU =~ "\\.max[0-9]+") callstate_set("max_duration", "$(rU{re.subst,/^.*[.]max([0-9]+).*$/\\1/})");
	callstate_set("direction", "inbound");
	if ($var(how) == "one") {
		$ru = "sip:one@127.0.0.3:" + $var(p1);
		route(RELAY);
	}
	if ($var(how) == "fork") {
		$ru = "sip:first@127.0.0.3:" + $var(p1);
		append_branch("sip:second@127.0.0.3:$var(p2)");
		append_branch("sip:third@127.0.0.3:$var(p3)");
		route(RELAY);
	}
}
`,
};

/** config() with TARGETS beside what o says. */
export const carrier = (o = {}) => config({ ...o, edits: [...TARGETS.edits, ...(o.edits ?? [])], routes: `${TARGETS.routes}${o.routes ?? ''}` });

/** What callers do to a proxy in a day, in short. */
export const A_DAY = ['answered-caller-hangs-up', 'answered-callee-hangs-up', 'answered-operator-ends-it', 'answered-maximum-duration', 'declined', 'early-media-then-answer',
  'held-and-resumed-by-caller', 'held-and-resumed-by-callee', 'session-refresh', 'parallel-fork', 'challenged-then-answered', 'retransmitted-bye', 'blind-transfer'];

/** The caller gives up while it rings. In which order the 200 and the 487 come is the workers' affair. @return its Call-ID */
export async function cancelled(x, caller, callee, user = `one-${callee.port}`) {
  const c = caller.call(user).invite();
  const leg = await callee.leg();
  leg.answer(180);
  await c.reply(180);
  c.cancel();
  leg.respond(await leg.request('CANCEL'), 200);
  leg.answer(487);
  await c.reply(200, 'CANCEL');
  c.nack(await c.reply(487));
  await leg.request('ACK');
  await x.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr of a cancelled call' });
  const events = assertEvents(x.receiver, c.id, ['call.initiated', 'call.ringing', 'call.failed', 'call.cdr']);
  assert.deepEqual([events[2].data.hangup.by, events[2].data.hangup.cause], ['caller', 'cancel']);
  return c.id;
}

/** Plays these scenarios: SIPp is content with each, and each call's events are exactly those of its expect.json. @param o.jobs how many beside each other */
export async function scenarios(x, names = A_DAY, o = {}) {
  const results = await play({ harness: x, only: names, ...o });
  const bad = results.filter((r) => !r.ok);
  assert.equal(bad.length, 0, bad.map(explain).join('\n'));
  assert.ok(results.length >= names.length);
  return results;
}

export async function kamailioModules() {
  const { stdout } = await run('dpkg-query', ['-L', 'kamailio']);
  return path.dirname(stdout.split('\n').find((l) => l.endsWith('/modules/tm.so')));
}

/** The command signalbox; it must succeed. @return what it printed */
export async function signalbox(...args) {
  const r = await run(path.join(BUILD, 'bin', 'signalbox'), args, { timeout: 60000 });
  assert.equal(r.code, 0, `signalbox ${args[0]}: ${r.out}`);
  return r.stdout;
}

/** `signalbox db migrate`. @return the statement that makes the receiver an endpoint */
async function database(url, endpoint) {
  await signalbox('db', 'migrate', '--db', url);
  return `INSERT INTO callhook_endpoint (id, url, secret, allow_addresses${endpoint.ca ? ', ca_file' : ''}) VALUES ('crm', '${endpoint.url}', '${endpoint.secret}', '127.0.0.0/8'${endpoint.ca ? `, '${endpoint.ca}'` : ''});`;
}

let runs = 0;

class Own {
  async prepare(text, o) {
    this.o = o;
    this.dir = path.join(BUILD, 'run', `own-${o.name}-${process.pid}-${++runs}`);
    this.data = path.join(this.dir, 'data');
    this.spool = fs.mkdtempSync('/dev/shm/signalbox-own-');
    this.sockets = fs.mkdtempSync(path.join(os.tmpdir(), 'sb-'));
    this.forget = onExit(() => this.sweep());
    fs.rmSync(this.dir, { recursive: true, force: true });
    for (const d of ['journal', 'hooks']) fs.mkdirSync(path.join(this.data, d), { recursive: true });
    this.ports = await Ports.take();
    this.port = await this.ports.next(4);
    this.proxy = `127.0.0.1:${this.port}`;
    this.receiver = await (o.receiver ?? Receiver).start({ port: await this.ports.next(), dir: this.dir });
    await o.before?.(this);
    await this.tables();
    this.configure(typeof text === 'function' ? text(this) : text);
    return this;
  }

  async tables() {
    this.url = this.o.mariadb ? this.mariadb.url : `sqlite:///${this.data}/signalbox.db`;
    const sql = `${await database(this.url, this.receiver)}\n${this.o.sql ?? ''}`;
    if (this.mariadb) await this.mariadb.query(sql);
    else assert.equal((await run('sqlite3', ['-bail', path.join(this.data, 'signalbox.db')], { input: sql })).out, '');
  }

  configure(text) {
    const folders = `modparam("callstate", "spool_dir", "${this.spool}")\nmodparam("callstate", "journal_dir", "${this.data}/journal")
modparam("callhook", "state_dir", "${this.data}/hooks")\nmodparam("callhook", "db_url", "${this.url}")\n`;
    this.file = path.join(this.dir, 'kamailio.cfg');
    fs.writeFileSync(this.file, edit(text, MARKER, `${folders}${MARKER}`), { mode: 0o600 });
    this.log = path.join(this.dir, 'kamailio.log');
  }

  async args() {
    const { o } = this;
    const modules = `${path.join(BUILD, 'modules')}:${await kamailioModules()}`;
    return ['-f', this.file, '-L', modules, '-Y', this.sockets, ...(o.defines ?? []).flatMap((d) => ['-A', d])];
  }

  /** `kamailio -c` on the file. */
  async check() { return run('kamailio', ['-c', ...await this.args()]); }

  async up() {
    const { o } = this;
    this.kamailio = new Proc('kamailio', ['-DD', '-E', ...await this.args(), '-l', `udp:${this.proxy}`, ...(o.listen?.(this) ?? []).flatMap((l) => ['-l', l]), '-m', '64', '-M', '8',
      ...(o.tcp ? [] : ['-T']), '-a', 'no', '-P', path.join(this.sockets, 'pid'), ...(o.args ?? [])], { log: this.log, cwd: this.dir });
    this.ua = await Ua.open({ ip: '127.0.0.2', proxy: this.port, name: 'registrar' });
    await this.register('nobody', 'sip:nobody@127.0.0.3:9');
    return this;
  }

  /** Registers a contact; repeats until the proxy is up and says yes. */
  async register(user, contact) {
    const { ua } = this;
    const id = `register-${user}-${++runs}@${ua.ip}`;
    const text = [`REGISTER sip:${this.proxy} SIP/2.0`, `Via: SIP/2.0/UDP ${ua.ip}:${ua.port};rport;branch=z9hG4bK${id}`, 'Max-Forwards: 70', `From: <sip:${user}@${this.proxy}>;tag=r`,
      `To: <sip:${user}@${this.proxy}>`, `Call-ID: ${id}`, 'CSeq: 1 REGISTER', `Contact: <${contact}>`, 'Expires: 600', 'Content-Length: 0', '', ''].join('\r\n');
    ua.send(text);
    const again = setInterval(() => ua.send(text), 100);
    const ended = this.kamailio.done.then((code) => { throw new Error(`Kamailio ended with ${code}:\n${this.kamailio.tail()}`); });
    ended.catch(() => {});
    try {
      const answer = await Promise.race([ua.take((m) => m.callId === id, `an answer to its REGISTER; Kamailio wrote:\n${this.kamailio.tail()}`, 15000), ended]);
      assert.equal(answer.code, 200, answer.start);
    } finally {
      clearInterval(again);
    }
  }

  /** RPC; throws what Kamailio refuses. */
  async rpc(...a) {
    const r = await run('kamcmd', ['-s', path.join(this.sockets, 'kamailio_ctl'), ...a.map(String)]);
    if (r.code !== 0 || r.out.startsWith('error:')) throw new Error(`kamcmd ${a.join(' ')}: ${r.out.trim()}`);
    return r.stdout;
  }

  signalbox(...a) { return run(path.join(BUILD, 'bin', 'signalbox'), ['--dir', this.data, ...a]); }

  text() { return fs.readFileSync(this.log, 'utf8'); }

  /** Neither of our modules, nor a bug of anybody's, in Kamailio's log. */
  assertQuiet() {
    const bad = this.text().split('\n').filter((l) => /(ERROR|CRITICAL|BUG): .*(callstate|callhook)|BUG:/.test(l) && !this.o.expected?.test(l));
    assert.deepEqual(bad, [], 'Kamailio\'s log');
  }

  sweep() { for (const d of [this.spool, this.sockets]) fs.rmSync(d, { recursive: true, force: true }); }

  /** @return true if Kamailio went by itself */
  async stop() {
    const clean = this.kamailio ? this.kamailio.exited || await this.kamailio.stop() : true;
    this.ua?.close();
    await this.receiver?.close();
    await this.mariadb?.stop();
    await this.neighbourDb?.stop();
    this.ports?.close();
    this.sweep();
    this.forget?.();
    return clean;
  }
}

/**
 * A Kamailio with this configuration on loopback, and a receiver.
 *
 * @param text        of kamailio.cfg, or a function of the run that gives it
 * @param o.name      names its folder
 * @param o.defines   as for `kamailio -A`: WITH_TLS, …
 * @param o.before    called with the run when its ports and receiver are there, before the database is made
 * @param o.mariadb   o.before has set x.mariadb: the tables go there; x.neighbourDb: another module's Mariadb, stopped at the end
 * @param o.sql       run on the database
 * @param o.listen    further sockets; o.tcp: with TCP; o.args: further options of kamailio
 * @param o.receiver  another Receiver
 * @param o.expected  lines of Kamailio's log that beside() does not mind
 */
export async function own(text, o) {
  const x = await prepared(text, o);
  try {
    return await x.up();
  } catch (e) {
    await x.stop();
    throw e;
  }
}

/** The same without starting Kamailio. */
export async function prepared(text, o) {
  const x = new Own();
  try {
    return await x.prepare(text, o);
  } catch (e) {
    await x.stop();
    throw e;
  }
}

/** Own(), during(x), and everything down again; Kamailio went by itself and its log is quiet. */
export async function beside(text, o, during) {
  const x = await own(text, o);
  let clean;
  try {
    await during(x);
    x.assertQuiet();
  } finally {
    clean = await x.stop();
  }
  assert.ok(clean, 'Kamailio did not stop by itself');
}
