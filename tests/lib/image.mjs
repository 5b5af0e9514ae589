// SPDX-License-Identifier: GPL-2.0-or-later
// Container images, built and run by buildah with a storage of their own in build/docker. The base is a Debian 12 that debootstrap makes
// once, from this machine's own package sources.
import fs from 'node:fs';
import path from 'node:path';
import { BUILD, ROOT } from './paths.mjs';
import { Proc, run } from './proc.mjs';

const HOME = path.join(BUILD, 'docker');
const BASE = 'localhost/signalbox-base';
const STORE = ['--root', path.join(HOME, 'store'), '--runroot', path.join(HOME, 'run'), '--storage-driver', 'overlay'];
const CA = '/etc/ssl/certs/ca-certificates.crt';

async function must(command, args, o = {}) {
  const r = await run(command, args, { cwd: ROOT, timeout: 600000, ...o });
  if (r.code !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${r.code}\n${r.out.slice(-3000)}`);
  return r.out.trim();
}

const buildah = (...args) => must('buildah', [...STORE, ...args]);
const there = async (command) => (await run('sh', ['-c', `command -v ${command}`])).code === 0;

/** @return why images cannot be built here, or undefined */
export async function missing() {
  if (process.getuid() !== 0) return 'only root can build images here';
  for (const c of ['buildah', 'debootstrap']) if (!await there(c)) return `there is no ${c}`;
  return undefined;
}

const sources = () => ['/etc/apt/sources.list', ...fs.readdirSync('/etc/apt/sources.list.d').filter((f) => /\.(list|sources)$/.test(f)).map((f) => `/etc/apt/sources.list.d/${f}`)]
  .filter((f) => fs.existsSync(f));

function mirror() {
  const text = sources().map((f) => fs.readFileSync(f, 'utf8')).join('\n');
  const found = text.match(/^URIs:\s*(\S+)/m)?.[1] ?? text.match(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m)?.[1];
  if (!found) throw new Error('no package source of this machine was found in /etc/apt');
  return found;
}

/** A bare Debian 12 as an image, made once. */
async function base() {
  if ((await run('buildah', [...STORE, 'inspect', '--type', 'image', BASE])).code === 0) return;
  fs.mkdirSync(HOME, { recursive: true });
  const root = path.join(HOME, 'debian');
  const made = path.join(HOME, 'debian.made');
  if (!fs.existsSync(made)) {
    fs.rmSync(root, { recursive: true, force: true });
    await must('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root, mirror()]);
    fs.writeFileSync(made, '');
  }
  const c = await buildah('from', 'scratch');
  try {
    await buildah('add', '-q', c, root, '/');
    await buildah('copy', '-q', c, CA, CA);
    await buildah('run', '--isolation=chroot', c, '--', 'sh', '-c', 'rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*');
    for (const f of sources()) await buildah('copy', '-q', c, f, f);
    await buildah('commit', '-q', c, BASE);
  } finally {
    await buildah('rm', c);
  }
  fs.rmSync(root, { recursive: true, force: true });
  fs.rmSync(made);
}

/** Builds one target of docker/Dockerfile as localhost/<name>. */
export async function build(target, name) {
  await base();
  await buildah('bud', '-q', '--layers', '--isolation=chroot', '--network=host', '--build-arg', `DEBIAN=${BASE}`,
    '--ignorefile', 'docker/Dockerfile.dockerignore', '-f', 'docker/Dockerfile', '--target', target, '-t', `localhost/${name}`, '.');
}

/** A container of an image: its root in a chroot, in the network of this machine. */
export class Container {
  static async of(name) {
    const c = new Container();
    c.id = await buildah('from', '--pull-never', `localhost/${name}`);
    return c;
  }

  args(command, { env = {}, volumes = {} } = {}) {
    return [...STORE, 'run', '--isolation=chroot', '--network=host', ...Object.entries(env).flatMap(([k, v]) => ['--env', `${k}=${v}`]),
      ...Object.entries(volumes).flatMap(([from, to]) => ['--volume', `${from}:${to}`]), this.id, '--', ...command];
  }

  /** Runs a command to its end. */
  async run(command, o = {}) {
    return run('buildah', this.args(command, o), { timeout: 60000 });
  }

  start(command, o = {}) {
    return new Proc('buildah', this.args(command, o), { log: o.log });
  }

  remove() { return buildah('rm', this.id); }
}
