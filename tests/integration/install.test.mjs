// SPDX-License-Identifier: GPL-2.0-or-later
// make install, make uninstall, make deb and the drop-ins for kamailio.service, all of it in folders of their own: nothing of this
// machine's system is written. A package is installed with dpkg --root; Kamailio runs with the modules and the script out of it.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { prepare } from '../lib/harness.mjs';
import { kamailioModules } from '../lib/own_config.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { Proc, poll, run } from '../lib/proc.mjs';
import { RULES } from '../lib/load.mjs';
import { Skip, test } from '../lib/test.mjs';

const ETC = '/etc/kamailio/signalbox';
const SYSTEMD = path.join(ROOT, 'modules', 'packaging', 'systemd');
const SIPP = path.join(ROOT, 'tests', 'integration', 'sipp');
const script = (name) => path.join(ROOT, 'modules', 'scripts', `${name}.sh`);
const there = async (command) => (await run('sh', ['-c', `command -v ${command}`])).code === 0;

async function must(command, args, o = {}) {
  const r = await run(command, args, { timeout: 60000, ...o });
  assert.equal(r.code, 0, `${command} ${args.join(' ')}: exit ${r.code}\n${r.out}`);
  return r.stdout;
}

/** A folder for one test, removed behind it. */
async function inFolder(f) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sb-install-'));
  try { return await f(dir); } finally { fs.rmSync(dir, { recursive: true, force: true }); }
}

/** What is below a folder: path → type, mode and content. */
function tree(dir) {
  const all = fs.readdirSync(dir, { recursive: true, withFileTypes: true }).map((e) => {
    const file = path.join(e.path, e.name);
    const sum = e.isFile() ? crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex') : 'folder';
    return [`/${path.relative(dir, file)}`, `${(fs.lstatSync(file).mode & 0o7777).toString(8)} ${sum}`];
  });
  return Object.fromEntries(all.sort());
}

const destination = (dir) => ({ env: { ...process.env, DESTDIR: dir, PREFIX: '/usr/local', MODULE_DIR: '' } });
const install = (dir) => must(script('install'), [], destination(dir));
const uninstall = (dir) => must(script('uninstall'), [], destination(dir));

/** make deb. @return the package */
async function makeDeb(dir, env = {}) {
  await must(script('deb'), [], { env: { ...process.env, DEB_DIR: dir, ...env } });
  return path.join(dir, fs.readdirSync(dir).find((f) => f.endsWith('.deb')));
}

/** The package, built once for all tests. @return its path */
let built;
const deb = () => {
  built ??= makeDeb(path.join(BUILD, 'test', 'deb'));
  return built;
};
const field = async (file, name) => (await must('dpkg-deb', ['-f', file, name])).trim();

/** /usr/bin and the like, but for one command. @return a value for PATH */
function pathWithout(dir, command) {
  for (const d of process.env.PATH.split(':').reverse())
    for (const f of fs.existsSync(d) ? fs.readdirSync(d) : []) {
      const link = path.join(dir, f);
      fs.rmSync(link, { force: true });
      if (f !== command) fs.symlinkSync(path.join(d, f), link);
    }
  return dir;
}

test('install_twice_gives_the_same_tree', () => inFolder(async (dir) => {
  await install(dir);
  const once = tree(dir);
  const modules = await kamailioModules();
  for (const so of ['callstate.so', 'callhook.so']) assert.match(once[path.join(modules, so)] ?? '', /^644 /, so);
  assert.match(once['/usr/local/bin/signalbox'], /^755 /);
  for (const d of ['', '/journal', '/hooks']) assert.equal(once[`/var/lib/signalbox${d}`], '750 folder');
  for (const f of fs.readdirSync(path.join(ROOT, 'routing')).filter((n) => n.endsWith('.cfg'))) assert.match(once[`${ETC}/${f}`] ?? '', /^644 /, f);
  for (const f of ['tmpfiles.d/signalbox.conf', 'systemd/system/kamailio.service.d/signalbox.conf']) assert.match(once[`/usr/local/lib/${f}`] ?? '', /^644 /, f);
  await install(dir);
  assert.deepEqual(tree(dir), once);
}));

test('install_brings_the_sql_that_the_command_prints_and_accepts', () => inFolder(async (dir) => {
  await install(dir);
  const db = path.join(dir, 'usr/local/share/signalbox/db');
  const command = path.join(BUILD, 'bin', 'signalbox');
  for (const dialect of ['sqlite', 'mariadb']) {
    assert.equal(fs.readFileSync(`${db}/${dialect}.sql`, 'utf8'), await must(command, ['db', 'sql', dialect]));
    assert.equal(fs.readFileSync(`${db}/${dialect}-with-routing.sql`, 'utf8'), await must(command, ['db', 'sql', dialect, '--with-routing']));
  }
  const url = `sqlite:///${dir}/new.db`;
  await must('sqlite3', ['-bail', path.join(dir, 'new.db')], { input: fs.readFileSync(`${db}/sqlite-with-routing.sql`) });
  await must(command, ['db', 'check', '--with-routing', '--db', url]);
}));

test('install_keeps_what_you_changed_and_uninstall_leaves_only_that', () => inFolder(async (dir) => {
  await install(dir);
  const list = path.join(dir, 'usr/local/share/signalbox/installed');
  const rules = path.join(dir, ETC, 'rules.cfg');
  const mine = 'route[RULES] {\n\treturn;\n}\n';
  fs.writeFileSync(rules, mine);
  fs.writeFileSync(path.join(dir, ETC, 'settings-local.cfg'), '#!define CHILDREN 2\n');
  fs.writeFileSync(path.join(dir, 'var/lib/signalbox/signalbox.db'), 'calls');
  // a file that an earlier version had, as it was installed, and one that was changed since
  for (const f of ['old.cfg', 'changed.cfg']) {
    fs.writeFileSync(path.join(dir, ETC, f), f);
    fs.appendFileSync(list, `${crypto.createHash('sha256').update('old.cfg').digest('hex')}  ${ETC}/${f}\n`);
  }
  assert.match(await install(dir), /keep .*rules\.cfg: yours/);
  assert.equal(fs.readFileSync(rules, 'utf8'), mine);
  assert.deepEqual(fs.readFileSync(`${rules}.new`), fs.readFileSync(path.join(ROOT, 'routing', 'rules.cfg')));
  assert.deepEqual(['old.cfg', 'changed.cfg'].map((f) => fs.existsSync(path.join(dir, ETC, f))), [false, true]);
  await uninstall(dir);
  assert.deepEqual(Object.keys(tree(dir)).filter((f) => fs.statSync(path.join(dir, f)).isFile()),
    [`${ETC}/changed.cfg`, `${ETC}/rules.cfg`, `${ETC}/settings-local.cfg`, '/var/lib/signalbox/signalbox.db']);
}));

test('uninstall_of_an_untouched_install_leaves_nothing', () => inFolder(async (dir) => {
  fs.mkdirSync(path.join(dir, 'usr/local/bin'), { recursive: true });
  await install(dir);
  await uninstall(dir);
  assert.deepEqual(Object.keys(tree(dir)), ['/usr', '/usr/local', '/usr/local/bin'], 'the folders that were there before');
  const again = await run(script('uninstall'), [], destination(dir));
  assert.equal(again.code, 1);
  assert.match(again.out, /make install was not here/);
}));

test('deb_is_for_exactly_this_kamailio', () => inFolder(async (dir) => {
  const file = await deb();
  const kamailio = await must('dpkg-query', ['-W', '-f', '${Version}', 'kamailio']);
  const version = fs.readFileSync(path.join(ROOT, 'modules/cli/cli.h'), 'utf8').match(/SIGNALBOX_VERSION "(.*)"/)[1];
  assert.equal(await field(file, 'Package'), 'signalbox');
  assert.equal(await field(file, 'Version'), `${version}+kamailio${kamailio.replace(/^\d+:/, '')}`);
  assert.equal(await field(file, 'Architecture'), (await must('dpkg', ['--print-architecture'])).trim());
  const depends = (await field(file, 'Depends')).split(', ');
  assert.equal(depends[0], `kamailio (= ${kamailio})`);
  assert.equal(await field(file, 'Recommends'), `kamailio-sqlite-modules (= ${kamailio})`);
  for (const l of ['libc6', 'libjansson4', 'libmariadb3', 'libsqlite3-0', 'libnettle'])
    assert.ok(depends.some((d) => d.startsWith(l)), `${l} is not among ${depends.join(', ')}`);

  const list = (await must('dpkg-deb', ['-c', file])).trim().split('\n').map((l) => l.split(/\s+/));
  assert.deepEqual(list.filter((l) => l[1] !== 'root/root'), [], 'files of somebody else');
  const paths = new Set(list.map((l) => l[5].slice(1)));
  const modules = await kamailioModules();
  for (const p of [`${modules}/callstate.so`, `${modules}/callhook.so`, '/usr/bin/signalbox', `${ETC}/signalbox.cfg`, `${ETC}/rules.cfg`, '/usr/share/signalbox/db/sqlite.sql',
    '/usr/share/signalbox/db/mariadb-with-routing.sql', '/usr/lib/tmpfiles.d/signalbox.conf', '/usr/lib/systemd/system/kamailio.service.d/signalbox.conf',
    '/usr/share/doc/signalbox/copyright', '/usr/share/doc/signalbox/README.md', '/usr/share/doc/signalbox/docs/operating.md']) assert.ok(paths.has(p), `${p} is not in the package`);
  assert.deepEqual([...paths].filter((p) => !/^\/(etc\/(kamailio\/(signalbox\/.*)?)?|usr\/.*)?$/.test(p)), [], 'outside /etc/kamailio/signalbox and /usr');

  await must('dpkg-deb', ['-e', file, dir]);
  assert.deepEqual(fs.readFileSync(path.join(dir, 'conffiles'), 'utf8').trim().split('\n'), [...paths].filter((p) => p.startsWith(`${ETC}/`) && p.endsWith('.cfg')).sort());
  for (const s of ['postinst', 'prerm', 'postrm']) await must('sh', ['-n', path.join(dir, s)]);
}));

test('deb_of_the_same_tree_has_the_same_bytes', () => inFolder(async (dir) => {
  const again = await makeDeb(dir, { TZ: 'Pacific/Auckland', LANG: 'de_DE.UTF-8' });
  assert.equal(path.basename(again), path.basename(await deb()));
  assert.ok(fs.readFileSync(again).equals(fs.readFileSync(await deb())), 'the bytes differ');
}));

test('deb_names_the_same_libraries_where_dpkg_dev_is_not_installed', () => inFolder(async (dir) => {
  const bin = path.join(dir, 'bin');
  fs.mkdirSync(bin);
  const plain = await makeDeb(path.join(dir, 'deb'), { PATH: pathWithout(bin, 'dpkg-shlibdeps') });
  const names = async (file) => (await field(file, 'Depends')).split(', ').map((d) => d.split(' ')[0]).sort();
  assert.deepEqual(await names(plain), await names(await deb()));
}));

/** One SIPp call to a SIPp, and what `signalbox why last` says of it. @param command signalbox */
async function call(sb, command) {
  const uas = await sb.sippStart({ scenario: path.join(SIPP, 'callee.xml'), role: 'uas', calls: 1 });
  const r = await sb.sipp({ scenario: path.join(SIPP, 'caller.xml'), service: `one-${uas.port}`, calls: 1, args: ['-d', '100'] });
  assert.ok(r.ok, r.errors);
  await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { what: 'call.cdr' });
  assert.match(await must(command, ['--dir', sb.data, 'why', 'last']), /^cause: normal: answered by/m);
}

test('deb_unpacked_carries_a_call', () => inFolder(async (dir) => {
  await must('dpkg-deb', ['-x', await deb(), dir]);
  const modules = await kamailioModules();
  const sb = await prepare({ name: 'deb', rules: RULES, defines: { MODULES_PATH: `${dir}${modules}:${modules}` } });
  try {
    for (const f of fs.readdirSync(path.join(dir, ETC))) if (f !== 'rules.cfg') fs.copyFileSync(path.join(dir, ETC, f), path.join(sb.routing, f));
    await sb.up();
    const maps = fs.readFileSync(`/proc/${sb.kamailio.pid}/maps`, 'utf8');
    for (const so of ['callstate.so', 'callhook.so']) assert.ok(maps.includes(`${dir}${modules}/${so}`), `${so} is not the package's`);
    await call(sb, path.join(dir, 'usr/bin/signalbox'));
  } finally {
    await sb.stop();
  }
}));

test('deb_goes_in_and_a_purge_takes_its_data_too', () => inFolder(async (dir) => {
  if (process.getuid() !== 0) throw new Skip('needs root, for owners');
  const file = await deb();
  const admin = path.join(dir, 'var/lib/dpkg');
  for (const d of ['info', 'updates', 'triggers']) fs.mkdirSync(path.join(admin, d), { recursive: true });
  for (const f of ['status', 'available']) fs.writeFileSync(path.join(admin, f), '');
  const dpkg = (...a) => must('dpkg', [`--root=${dir}`, '--log=/dev/null', '--force-depends', '--force-script-chrootless', ...a]);
  const exists = (...paths) => paths.map((p) => fs.existsSync(path.join(dir, p)));
  const command = '/usr/bin/signalbox';
  const journal = '/var/lib/signalbox/journal';

  assert.match(await dpkg('-i', file), /Kamailio was not restarted/);
  const kamailio = Number(await must('id', ['-u', 'kamailio']));
  for (const d of ['/var/lib/signalbox', journal, '/var/lib/signalbox/hooks', '/run/signalbox', '/run/signalbox/spool']) {
    const s = fs.statSync(path.join(dir, d));
    assert.deepEqual([s.uid, s.mode & 0o7777], [kamailio, 0o750], d);
  }
  const rules = path.join(dir, ETC, 'rules.cfg');
  fs.appendFileSync(rules, '# mine\n');
  fs.writeFileSync(path.join(dir, journal, 'record'), '');
  fs.chmodSync(path.join(dir, journal), 0o700);
  assert.match(await dpkg('-i', file), /still runs the modules of/);
  assert.match(fs.readFileSync(rules, 'utf8'), /# mine/);
  assert.equal(fs.statSync(path.join(dir, journal)).mode & 0o777, 0o700, 'the administrator\'s mode');

  fs.writeFileSync(path.join(dir, 'etc/kamailio/kamailio.cfg'), 'loadmodule "callstate.so"\n');
  const removed = await run('dpkg', [`--root=${dir}`, '--log=/dev/null', '--force-script-chrootless', '-r', 'signalbox']);
  assert.equal(removed.code, 0, removed.out);
  assert.match(removed.out, /kamailio\.cfg loads callstate or callhook/);
  assert.deepEqual(exists(command, `${ETC}/rules.cfg`, `${journal}/record`), [false, true, true]);
  await dpkg('-P', 'signalbox');
  assert.deepEqual(exists(ETC, '/var/lib/signalbox', '/run/signalbox', '/etc/kamailio/kamailio.cfg'), [false, false, false, true]);
}));

const UNIT = '/lib/systemd/system/kamailio.service';

/** systemd's own reading of Debian's unit with these drop-ins. @return {said, dump} */
async function merged(dir, dropIns) {
  if (!fs.existsSync(UNIT)) throw new Skip(`there is no ${UNIT}`);
  if (!await there('systemd-analyze')) throw new Skip('there is no systemd-analyze');
  const to = path.join(dir, 'kamailio.service.d');
  fs.mkdirSync(to);
  fs.copyFileSync(UNIT, path.join(dir, 'kamailio.service'));
  for (const f of dropIns) fs.copyFileSync(path.join(SYSTEMD, f), path.join(to, f));
  const verify = (level) => run('systemd-analyze', ['verify', '--man=no', path.join(dir, 'kamailio.service')], { env: { ...process.env, SYSTEMD_UNIT_PATH: `${dir}:`, SYSTEMD_LOG_LEVEL: level } });
  const plain = await verify('info');
  assert.equal(plain.code, 0, plain.out);
  return { said: plain.out, dump: (await verify('debug')).stdout };
}

test('systemd_drop_in_keeps_the_spool_beside_debians_own_folder', () => inFolder(async (dir) => {
  const { said, dump } = await merged(dir, ['signalbox.conf']);
  assert.equal(said, '');
  const of = (name) => [...dump.matchAll(new RegExp(`^\\s*${name}: (.*)$`, 'gm'))].map((m) => m[1]);
  assert.deepEqual(of('RuntimeDirectory'), ['kamailio', 'signalbox', 'signalbox/spool']);
  assert.deepEqual(of('RuntimeDirectoryPreserve'), ['yes']);
}));

test('systemd_drop_ins_are_understood_and_start_kamailio_as_debian_does', () => inFolder(async (dir) => {
  const { said, dump } = await merged(dir, fs.readdirSync(SYSTEMD));
  assert.equal(said, '');
  const exec = (file) => fs.readFileSync(file, 'utf8').match(/^ExecStart=(.+)$/m)[1];
  assert.equal(exec(path.join(SYSTEMD, 'fast-allocator.conf')), exec(UNIT).replace('/usr/sbin/kamailio ', '/usr/sbin/kamailio -x fm -X fm '));
  assert.equal([...dump.matchAll(/^\s*Command Line: (\S+ \S+ \S+ \S+ \S+)/gm)].map((m) => m[1]).join(), '/usr/sbin/kamailio -x fm -X fm');
}));

// What systemd does for a line of hardening.conf, by hand: there is no systemd here that could do it. A line that is not in this list fails the test.
const READ_ONLY = (...dirs) => dirs.map((d) => `[ ! -e ${d} ] || { mount --bind ${d} ${d} && mount -o remount,bind,ro ${d}; }`).join('\n');
const EMPTY = (...dirs) => dirs.map((d) => `[ ! -d ${d} ] || mount -t tmpfs -o mode=1777 tmpfs ${d}`).join('\n');
const DEVICES = `d=$(mktemp -d) && mount -t tmpfs -o mode=755 tmpfs $d && mkdir $d/shm && mount --rbind /dev/shm $d/shm
for n in null zero full random urandom tty; do touch $d/$n && mount --bind /dev/$n $d/$n; done
mount --move $d /dev 2>/dev/null || mount --rbind $d /dev`;
const BY_HAND = {
  'ProtectSystem=full': READ_ONLY('/usr', '/etc', '/boot'),
  'ProtectHome=yes': EMPTY('/home', '/root'),
  'PrivateTmp=yes': EMPTY('/tmp', '/var/tmp'),
  'PrivateDevices=yes': DEVICES,
  'ProtectKernelTunables=yes': READ_ONLY('/proc/sys'),
  'ProtectControlGroups=yes': READ_ONLY('/sys/fs/cgroup'),
  'NoNewPrivileges=yes': '',
  'CapabilityBoundingSet=': '',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK': '', // looked at by hand: strace -f -e trace=socket
};

test('systemd_hardening_leaves_kamailio_what_it_needs', async () => {
  if (process.getuid() !== 0) throw new Skip('needs root, for mounts');
  if ((await run('unshare', ['-m', 'mount', '--bind', '/usr', '/usr'])).code !== 0) throw new Skip('mounts are not allowed here');
  if (/^\/(home|root|tmp|var\/tmp)\//.test(ROOT)) throw new Skip(`the working copy ${ROOT} would be hidden`);
  const lines = fs.readFileSync(path.join(SYSTEMD, 'hardening.conf'), 'utf8').split('\n').filter((l) => /^\w+=/.test(l));
  assert.deepEqual(lines.filter((l) => BY_HAND[l] === undefined), [], 'lines that nothing tries');
  const sb = await prepare({ name: 'hardened', rules: RULES });
  try {
    const shell = ['set -e', ...lines.sort((a) => (a.startsWith('PrivateDevices') ? -1 : 1)).map((l) => BY_HAND[l]), 'mkdir -p "$1"; shift',
      'for d in /usr /etc /proc/sys; do [ ! -w $d ] || { echo "$d can be written"; exit 9; }; done', 'exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"'].join('\n');
    sb.kamailio = new Proc('unshare', ['-m', 'sh', '-c', shell, 'sh', sb.sockets, 'kamailio', '-DD', '-E', '-x', 'fm', '-X', 'fm', '-m', '64', '-M', '8',
      '-P', path.join(sb.sockets, 'pid'), '-Y', sb.sockets, '-f', path.join(sb.routing, 'signalbox.cfg')], { log: path.join(sb.dir, 'kamailio.log'), cwd: sb.routing });
    await poll(() => {
      if (sb.kamailio.exited) throw new Error(`Kamailio ended with ${sb.kamailio.code}:\n${sb.kamailio.tail()}`);
      return sb.rpc('core.uptime').catch(() => undefined);
    }, 15000, () => `Kamailio does not answer:\n${sb.kamailio.tail()}`);
    await sb.settled();
    const status = fs.readFileSync(`/proc/${sb.kamailio.pid}/status`, 'utf8');
    assert.match(status, /^NoNewPrivs:\s1$/m);
    assert.match(status, /^CapBnd:\s0+$/m);
    await call(sb, path.join(BUILD, 'bin', 'signalbox'));
  } finally {
    await sb.stop();
  }
});
