// SPDX-License-Identifier: GPL-2.0-or-later
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
export const BUILD = path.join(ROOT, 'build');
const require = createRequire(path.join(BUILD, 'node', 'package.json'));

/** A package of tests/package.json, from build/node. */
export function need(name) {
  try { return require(name); } catch (e) {
    if (e.code !== 'MODULE_NOT_FOUND') throw e;
    throw new Error(`the npm package ${name} is not in build/node: run "make deps"`);
  }
}
